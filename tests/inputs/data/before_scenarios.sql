-- The tables of a database that a version of the model 2 wrote before studies had scenarios.
CREATE TABLE studies(study VARCHAR, question VARCHAR, n_trials BIGINT, yaml VARCHAR NOT NULL,
  "identity" VARCHAR NOT NULL, workloads VARCHAR[], events_digests VARCHAR[], core_digest VARCHAR,
  git_revision VARCHAR, versions VARCHAR, host VARCHAR, created_at TIMESTAMP, model_version
  BIGINT, PRIMARY KEY(study));
CREATE TABLE trials(study VARCHAR, "role" VARCHAR, number BIGINT, state VARCHAR NOT NULL, reason
  VARCHAR, subspace BIGINT, feasible BOOLEAN, "system" VARCHAR, eviction VARCHAR, admission
  VARCHAR, offer VARCHAR, lookup VARCHAR, restore VARCHAR, "drop" VARCHAR, folio_order BIGINT,
  large_folios VARCHAR, slot_reclaim VARCHAR, slot_reclaim_batch BIGINT, headroom DOUBLE,
  headroom_mode VARCHAR, placement VARCHAR, tagged_placement VARCHAR, guests VARCHAR, guest_ratio
  DOUBLE, packing VARCHAR, anonymous VARCHAR, compression_ratio DOUBLE, tmem_ratio DOUBLE,
  tmem_swing DOUBLE, tmem_period_ns BIGINT, discard_ratio DOUBLE, "use" VARCHAR, clean VARCHAR,
  pinned_ratio DOUBLE, pin_duration_ns BIGINT, pinned_on_purpose BIGINT, metadata VARCHAR, seed
  BIGINT, tag_block_size BIGINT, reserve_base_ns BIGINT, cache_line_ns BIGINT, slot_drop_ns
  BIGINT, read_random_ns BIGINT, read_parallel_ns BIGINT, read_sequential_ns BIGINT, copy_in_ns
  BIGINT, copy_out_ns BIGINT, lookup_ns BIGINT, migrate_base_ns BIGINT, migrate_page_ns BIGINT,
  compress_ns BIGINT, decompress_ns BIGINT, swap_write_ns BIGINT, tmem_copy_in_ns BIGINT,
  tmem_copy_out_ns BIGINT, asks BIGINT, compiles BIGINT, launches BIGINT, apps BIGINT, file_ratio
  DOUBLE, skew DOUBLE, write_ratio DOUBLE, large_folio_ratio DOUBLE, anonymous_ratio DOUBLE,
  tagged_ratio DOUBLE, atomic_ratio DOUBLE, burstiness DOUBLE, reclaim VARCHAR, zram_size BIGINT,
  swap_size BIGINT, zram_ratio DOUBLE, swappiness BIGINT, readahead_size BIGINT, page_cache_order
  BIGINT, "stored" BIGINT, skipped BIGINT, stale BIGINT, restored BIGINT, missed BIGINT, reclaimed
  BIGINT, recalled BIGINT, collateral BIGINT, invalidated BIGINT, overwritten BIGINT, reservations
  BIGINT, releases BIGINT, refaults BIGINT, hit_ratio DOUBLE, refault_hit_ratio DOUBLE,
  collateral_ratio DOUBLE, reserved_share DOUBLE, cached_share DOUBLE, empty_share DOUBLE,
  headroom_share DOUBLE, amplification DOUBLE, peak_reserved BIGINT, reservation_mean_ns DOUBLE,
  reservation_p50_ns BIGINT, reservation_p99_ns BIGINT, reservation_max_ns BIGINT,
  atomic_reservation_mean_ns DOUBLE, atomic_reservation_p50_ns BIGINT, atomic_reservation_p99_ns
  BIGINT, atomic_reservation_max_ns BIGINT, failed_pinned BIGINT, failed_atomic BIGINT, copies_in
  BIGINT, copies_out BIGINT, compressions BIGINT, decompressions BIGINT, migrations BIGINT,
  swap_writes BIGINT, metadata_bytes BIGINT, lookups BIGINT, bypassed BIGINT, read_commands
  BIGINT, waited_requests BIGINT, waited_commands BIGINT, waited_pages BIGINT, waited_stored
  BIGINT, waited_reclaimed BIGINT, read_ns BIGINT, wait_ns BIGINT, cpu_ns BIGINT, time_saved_ns
  BIGINT, time_saved_ratio DOUBLE, wait_saved_ns BIGINT, wait_saved_ratio DOUBLE, share_of_ideal
  DOUBLE, policy_key VARCHAR NOT NULL, core_digest VARCHAR, attempts BIGINT, host VARCHAR,
  finished_at TIMESTAMP, PRIMARY KEY(study, "role", number));
CREATE TABLE runs(study VARCHAR, "role" VARCHAR, number BIGINT, workload VARCHAR, replicate
  BIGINT, events_digest VARCHAR, page_size BIGINT, "stored" BIGINT, skipped BIGINT, stale BIGINT,
  restored BIGINT, missed BIGINT, reclaimed BIGINT, recalled BIGINT, collateral BIGINT,
  invalidated BIGINT, overwritten BIGINT, reservations BIGINT, releases BIGINT, refaults BIGINT,
  hit_ratio DOUBLE, refault_hit_ratio DOUBLE, collateral_ratio DOUBLE, reserved_share DOUBLE,
  cached_share DOUBLE, empty_share DOUBLE, headroom_share DOUBLE, amplification DOUBLE,
  peak_reserved BIGINT, reservation_mean_ns DOUBLE, reservation_p50_ns BIGINT, reservation_p99_ns
  BIGINT, reservation_max_ns BIGINT, atomic_reservation_mean_ns DOUBLE, atomic_reservation_p50_ns
  BIGINT, atomic_reservation_p99_ns BIGINT, atomic_reservation_max_ns BIGINT, failed_pinned
  BIGINT, failed_atomic BIGINT, copies_in BIGINT, copies_out BIGINT, compressions BIGINT,
  decompressions BIGINT, migrations BIGINT, swap_writes BIGINT, metadata_bytes BIGINT, lookups
  BIGINT, bypassed BIGINT, read_commands BIGINT, waited_requests BIGINT, waited_commands BIGINT,
  waited_pages BIGINT, waited_stored BIGINT, waited_reclaimed BIGINT, read_ns BIGINT, wait_ns
  BIGINT, cpu_ns BIGINT, time_saved_ns BIGINT, time_saved_ratio DOUBLE, wait_saved_ns BIGINT,
  wait_saved_ratio DOUBLE, share_of_ideal DOUBLE, reservation_samples STRUCT(atomic BOOLEAN,
  blocks BIGINT, dropped BIGINT, written BIGINT, migrated BIGINT, count BIGINT)[], series_time_ns
  BIGINT[], series_reserved_pages BIGINT[], series_cached_pages BIGINT[], series_empty_pages
  BIGINT[], series_read_ns BIGINT[], series_wait_ns BIGINT[], series_cpu_ns BIGINT[],
  series_all_missed_read_ns BIGINT[], series_all_missed_wait_ns BIGINT[], phases STRUCT("name"
  VARCHAR, wait_ns BIGINT, all_missed_wait_ns BIGINT)[], requests VARCHAR, workingset VARCHAR,
  workingset_inferred_ratio DOUBLE, mapped VARCHAR, PRIMARY KEY(study, "role", number, workload,
  replicate));
CREATE TABLE attempts(study VARCHAR, "role" VARCHAR, number BIGINT, attempts BIGINT NOT NULL,
  "error" VARCHAR, PRIMARY KEY(study, "role", number));
