"""The formats of requests that are text in columns: one row for each, which alone tells it apart.

A new format of this kind is a row of `DELIMITED`. A test imports the example of each row, and
``sweep trace formats`` shows what the row says.
"""

from __future__ import annotations

from core.workload.requests.columns import PLAIN_COLUMNS, DelimitedFormat

_UNNAMED: dict[str, tuple[str, ...]] = {plain: (plain,) for plain in PLAIN_COLUMNS[:-1]}

CSV = DelimitedFormat(
    name="csv",
    title="columns of text, with a header or, by --columns, without",
    columns=PLAIN_COLUMNS[:-1],
    places=_UNNAMED,
    time_unit="",
    meaning=(
        "time in s or as --time-unit says, or a date such as 2026-01-02 03:04:05.678; file by any "
        "name; offset and size in bytes or as --offset-unit and --size-unit say; op read or write "
        "(--reads, --writes); separated by commas, tabs, semicolons, bars or spaces"
    ),
    example="time,file,offset,size,op\n0.5,/data/a,0,4096,read\n1.25,/data/b,8192,4096,write\n",
)

DELIMITED: tuple[DelimitedFormat, ...] = (
    CSV,
    DelimitedFormat(
        name="msr",
        title="block traces of MSR Cambridge (2007)",
        columns=(
            "Timestamp",
            "Hostname",
            "DiskNumber",
            "Type",
            "Offset",
            "Size",
            "ResponseTime",
        ),
        places={
            "time": ("Timestamp",),
            "file": ("Hostname+DiskNumber",),
            "offset": ("Offset",),
            "size": ("Size",),
            "op": ("Type",),
        },
        time_unit="100ns",
        meaning="time as Windows FILETIME, in 100 ns; a disk of a host is a file; bytes",
        example=(
            "128166372003061629,usr,0,Read,7014609920,24576,41286\n"
            "128166372016382155,usr,0,Write,1317441536,8192,1963\n"
            "128166372026382245,usr,1,Read,2436440064,4096,1835\n"
        ),
        told_by=("Timestamp", "Hostname", "DiskNumber", "Type", "Offset", "Size"),
        line=r"(?i)\d+,[^,]*,\d+,(read|write),\d+,\d+,\d+",
        source="iotta.snia.org, traces 388",
    ),
    DelimitedFormat(
        name="alibaba",
        title="block traces of Alibaba's cloud disks (2020)",
        columns=("device_id", "opcode", "offset", "length", "timestamp"),
        places={
            "time": ("timestamp",),
            "file": ("device_id",),
            "offset": ("offset",),
            "size": ("length",),
            "op": ("opcode",),
        },
        time_unit="us",
        meaning="time in us since 1970; a device is a file; offset and length in bytes; R or W",
        example=(
            "419,W,3221225472,16384,1577808144360767\n"
            "725,R,4096,4096,1577808144360891\n"
            "419,W,3221241856,16384,1577808144361005\n"
        ),
        told_by=("device_id", "opcode", "offset", "length", "timestamp"),
        line=r"\d+,[RWrw],\d+,\d+,\d{16}",
        source="github.com/alibaba/block-traces",
    ),
    DelimitedFormat(
        name="tencent",
        title="block traces of Tencent's cloud disks, CBS (2018)",
        columns=("Timestamp", "Offset", "Size", "IOType", "VolumeID"),
        places={
            "time": ("Timestamp",),
            "file": ("VolumeID",),
            "offset": ("Offset",),
            "size": ("Size",),
            "op": ("IOType",),
        },
        time_unit="s",
        meaning="time in s since 1970; offset and size in sectors of 512 bytes; 0 reads, 1 writes; "
        "a volume is a file",
        example="1538323200,12910952,128,0,1063\n1538323200,6338688,8,1,1627\n"
        "1538323201,1904106400,384,0,1360\n",
        told_by=("Timestamp", "Offset", "Size", "IOType", "VolumeID"),
        line=r"1\d{9},\d+,\d+,[01],\d+",
        offset_unit=512,
        size_unit=512,
        reads=("0",),
        writes=("1",),
        source="iotta.snia.org, traces 27917",
    ),
    DelimitedFormat(
        name="systor17",
        title="block traces of SYSTOR '17, of virtual desktops",
        columns=("Timestamp", "Response", "IOType", "LUN", "Offset", "Size"),
        places={
            "time": ("Timestamp",),
            "file": ("LUN",),
            "offset": ("Offset",),
            "size": ("Size",),
            "op": ("IOType",),
        },
        time_unit="s",
        meaning="time in s since 1970; a LUN is a file; bytes; R or W, or blank, which is skipped",
        example=(
            "Timestamp,Response,IOType,LUN,Offset,Size\n"
            "1456135200.013118000,0.001059,W,0,2120126464,4096\n"
            "1456135200.028523000,,,1,0,0\n"
            "1456135200.031129000,0.000571,R,0,1048576,65536\n"
        ),
        told_by=("Timestamp", "Response", "IOType", "LUN", "Offset", "Size"),
        line=r"1\d{9}\.\d+,[\d.]*,[RWrw]?,\d+,\d+,\d+",
        source="iotta.snia.org, traces 4964",
    ),
    DelimitedFormat(
        name="spc",
        title="block traces in the form of the Storage Performance Council (UMass: Financial, "
        "WebSearch)",
        columns=("ASU", "LBA", "Size", "Opcode", "Timestamp"),
        places={
            "time": ("Timestamp",),
            "file": ("ASU",),
            "offset": ("LBA",),
            "size": ("Size",),
            "op": ("Opcode",),
        },
        time_unit="s",
        meaning="an ASU is a file; LBA in blocks of 512 bytes; size in bytes; r or w; time in s "
        "from the first on",
        example="0,303567,3584,w,0.000000\n1,55590,3072,w,0.011413\n0,303574,3584,R,0.026214\n",
        told_by=("ASU", "LBA", "Size", "Opcode", "Timestamp"),
        line=r"\d+\s*,\s*\d+\s*,\s*\d+\s*,\s*[rRwW]\s*,\s*\d+(\.\d+)?(\s*,[^,]*)*",
        offset_unit=512,
        more_columns=True,
        source="SPC trace file format specification, revision 1.0.1",
    ),
    DelimitedFormat(
        name="fiu",
        title="block traces of Florida International University (SRCMap, IODedup)",
        columns=("time", "pid", "process", "lba", "size", "op", "major", "minor", "md5"),
        places={
            "time": ("time",),
            "file": ("major+minor",),
            "offset": ("lba",),
            "size": ("size",),
            "op": ("op",),
        },
        time_unit="ns",
        meaning="time in ns; a device is a file; lba and size in sectors of 512 bytes; R or W",
        example=(
            "89966104401662 5183 smbd 4252160 8 W 6 0 4b71a4ccd7a1f4d0ab1a1f0b9d4cb8a0\n"
            "89967223013551 5183 smbd 4252168 16 R 6 0 8eb4ac1bf4f6c4a5c6a6d1b4e4c2a6dd\n"
            "89969301994116 2522 kjournald 508072 8 W 6 1 0bbd9a2c6ea9e4e0fd8fb9b4a6fc1d02\n"
        ),
        line=r"(\d+\s+){2}\S+\s+\d+\s+\d+\s+[RWrw]\s+\d+\s+\d+\s+[0-9a-fA-F]{32}",
        delimiter=" ",
        offset_unit=512,
        size_unit=512,
        source="iotta.snia.org, traces 390 and 391",
    ),
    DelimitedFormat(
        name="cachelib",
        title="key-value traces of Meta's CacheLib (kvcache)",
        columns=("key", "op", "size", "op_count", "key_size"),
        places={
            "time": ("op_time",),
            "file": ("key",),
            "size": ("size",),
            "op": ("op",),
            "count": ("op_count",),
        },
        time_unit="s",
        meaning="a key is a file of the value's size in bytes; op_time in s, if there is one; an "
        "op is repeated op_count times; GET and SET, with or without _LEASE; DELETE is skipped",
        example=(
            "op_time,key,key_size,op,op_count,size,cache_hits,ttl\n"
            "1674000000,1668650021,40,GET,3,4096,3,0\n"
            "1674000001,1668650022,40,SET,1,8192,0,3600\n"
            "1674000001,1668650021,40,DELETE,1,0,0,0\n"
        ),
        told_by=("key", "op", "size", "op_count", "key_size"),
        reads=("GET", "GET_LEASE"),
        writes=("SET", "SET_LEASE"),
        source="cachelib.org, evaluating SSD hardware for Facebook workloads",
    ),
    DelimitedFormat(
        name="cachelib_block",
        title="block traces of Meta's Tectonic: CacheLib's block_chunk, and Baleen",
        columns=("op_time", "block_id", "io_size", "io_offset", "op_name", "op_count"),
        places={
            "time": ("op_time",),
            "file": ("block_id",),
            "offset": ("io_offset",),
            "size": ("io_size",),
            "op": ("op_name",),
            "count": ("op_count",),
        },
        time_unit="s",
        meaning="op_time in s since 1970; a block is a file; io_offset and io_size in bytes; an op "
        "is repeated op_count times; getChunkData (Baleen: 1, 2, 5) reads, putChunk (3, 4, 6) "
        "writes",
        example=(
            "op_time,block_id,io_size,io_offset,op_name,op_count\n"
            "1702511878,12ce-9e05,8388608,0,getChunkData.NotInitialized,1\n"
            "1702511879,cfb4-0122,4096,8192,getChunkData.Permanent,2\n"
            "1702511879,12ce-9e05,8388608,0,putChunk.Permanent,1\n"
        ),
        told_by=("op_time", "block_id", "io_size", "io_offset", "op_name"),
        reads=(
            "getChunkData.NotInitialized",
            "getChunkData.Permanent",
            "getChunkData",
            "1",
            "2",
            "5",
        ),
        writes=("putChunk.NotInitialized", "putChunk.Permanent", "putChunk", "3", "4", "6"),
        source="cachelib.org, cachebench's block_chunk traces; the Baleen traces of CMU",
    ),
    DelimitedFormat(
        name="twitter",
        title="key-value traces of Twitter's caches (2020)",
        columns=(
            "timestamp",
            "anonymized key",
            "key size",
            "value size",
            "client id",
            "operation",
            "TTL",
        ),
        places={
            "time": ("timestamp",),
            "file": ("anonymized key",),
            "size": ("key size+value size",),
            "op": ("operation",),
        },
        time_unit="s",
        meaning="time in s; a key is a file of the key's and the value's size in bytes; get, gets "
        "read; set, add, replace, cas, append, prepend, incr and decr write; others are skipped",
        example="0,q:q:1:8WTfjZU14ee,17,213,4,get,0\n0,yDqF:3q:1AJrrJ1nnCJKKrnGx1A,27,27,5,set,0\n"
        "1,q:q:1:8WTfjZU14ee,17,0,8,delete,0\n",
        told_by=("timestamp", "anonymized key", "key size", "value size", "operation"),
        line=r"\d+,[^,]*,\d+,\d+,\d+,(get|gets|set|add|replace|cas|append|prepend|delete|incr|decr)"
        r",\d+",
        source="github.com/twitter/cache-trace",
    ),
    DelimitedFormat(
        name="libcachesim_csv",
        title="libCacheSim's traces in CSV",
        columns=("time", "object", "size", "op"),
        places={
            "time": ("time", "timestamp", "clock_time"),
            "file": ("object", "obj", "obj_id", "object_id", "objid", "objectid"),
            "offset": ("offset",),
            "size": ("size", "obj_size", "object_size"),
            "op": ("op", "operation"),
        },
        time_unit="",
        meaning="time in s; an object is a file of its size in bytes; op, if there is one, reads "
        "or writes",
        example="time,obj_id,size\n0,20,4096\n1,21,512\n1,20,4096\n",
        told_by=("time", "object"),
        source="github.com/1a1a11a/libCacheSim",
    ),
    DelimitedFormat(
        name="vscsi_csv",
        title="VMware's vSCSI traces (CloudPhysics) in CSV, of libCacheSim or PyMimircache",
        columns=("version", "time", "op", "size", "lbn"),
        places={"time": ("time",), "offset": ("lbn",), "size": ("size",), "op": ("op",)},
        time_unit="",
        finer_unit="us",
        meaning="time in s, or in us (PyMimircache) if it is beyond any date in s; the disk is one "
        "file; lbn in sectors of 512 bytes; size in bytes; op as SCSI's number: 28, 88, a8 and 8 "
        "read; 2a, 8a, aa and a write",
        example="version,time,op,size,lbn\n1,5633898,2a,512,42932745\n1,5633898,28,6656,40409911\n"
        "1,5633899,2a,512,42932746\n",
        told_by=("version", "time", "op", "size", "lbn"),
        offset_unit=512,
        reads=("28", "88", "a8", "8", "08"),
        writes=("2a", "8a", "aa", "a", "0a"),
        source="github.com/1a1a11a/libCacheSim, data/cloudPhysicsIO.csv",
    ),
    DelimitedFormat(
        name="libcachesim_txt",
        title="libCacheSim's plain text: an object a line",
        columns=("object",),
        places={"file": ("object",)},
        time_unit="-",
        meaning="a number a line, the id of an object: a file of one page, which is read; no times",
        example="42932745\n42932746\n42932745\n",
        line=r"\d+",
        looks_like="lirs",
        source="github.com/1a1a11a/libCacheSim",
    ),
    DelimitedFormat(
        name="lirs",
        title="traces of the LIRS authors: a block a line",
        columns=("block",),
        places={"offset": ("block",)},
        time_unit="-",
        meaning="a number a line, a block of 4096 bytes in one file, which is read; lines of `*` "
        "mark ends of parts; no times; --offset-unit for other blocks",
        example="*\n0\n1\n0\n*\n7\n",
        line=r"\d+|\*",
        offset_unit=4096,
        source="Caffeine's simulator, format lirs",
    ),
    DelimitedFormat(
        name="arc",
        title="traces of the ARC authors (P1 to P14, S1 to S3, DS1, OLTP)",
        columns=("block", "blocks", "ignored", "request"),
        places={"offset": ("block",), "size": ("blocks",)},
        time_unit="-",
        meaning="the first block, how many, a number to ignore, and the request's number; blocks "
        "of 512 bytes in one file, which are read; no times; --offset-unit and --size-unit for "
        "other blocks",
        example="110765 64 0 0\n110829 64 0 1\n110765 8 0 2\n",
        line=r"\d+[ \t]+\d+[ \t]+\d+[ \t]+\d+",
        delimiter=" ",
        offset_unit=512,
        size_unit=512,
        source="N. Megiddo, D. Modha: the readme of their traces",
    ),
    DelimitedFormat(
        name="address",
        title="addresses that instructions load and store (UC San Diego)",
        columns=("op", "address", "instructions"),
        places={"offset": ("address",), "op": ("op",)},
        time_unit="-",
        meaning="l loads and s stores a byte at an address of memory, which is one file; no times",
        example="s 0x1fffff50 1\nl 0x1fffff58 4\nl 0x3000f1c0 0\n",
        line=r"[lsLS][ \t]+0x[0-9a-fA-F]+([ \t]+\S+)*",
        delimiter=" ",
        reads=("l",),
        writes=("s",),
        more_columns=True,
        source="Caffeine's simulator, format address",
    ),
)

BY_NAME = {row.name: row for row in DELIMITED}
