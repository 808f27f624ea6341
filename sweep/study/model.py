"""The study: which keys and values `study.yaml` may have, and what is read off them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from core.costs import COST_PRESETS, Costs
from core.frontend.run import Reclaim
from core.policy import (
    Admission,
    Anonymous,
    Drop,
    Eviction,
    Guests,
    HeadroomMode,
    LargeFolios,
    Metadata,
    Packing,
    Placement,
    Policy,
    Restore,
    System,
    TaggedPlacement,
)
from sweep.study.samplers import SAMPLERS
from sweep.study.values import (
    MAX_TRIALS,
    CostPreset,
    Flag,
    Generator,
    Metric,
    Nanoseconds,
    Number,
    PageSize,
    Preset,
    Size,
    SizeOrZero,
    TagBlockSize,
    Text,
    Whole,
    number_of,
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class PolicyFields(_Model):
    """Policy fields by name; those left out are the preset's, or the defaults of docs/model.md."""

    system: System = System.CLEANCACHE
    eviction: Eviction = Eviction.LRU
    admission: Admission = Admission.ALL
    restore: Restore = Restore.INCLUSIVE
    drop: Drop = Drop.PAGE
    folio_order: number_of("folio_order") = Policy.folio_order  # type: ignore[valid-type]
    large_folios: LargeFolios = LargeFolios.CUT
    headroom: number_of("headroom") = Policy.headroom  # type: ignore[valid-type]
    headroom_mode: HeadroomMode = HeadroomMode.STATIC
    placement: Placement = Placement.QUEUE
    tagged_placement: TaggedPlacement = TaggedPlacement.RECORDED
    guests: Guests = Guests.KVM
    guest_ratio: number_of("guest_ratio") = Policy.guest_ratio  # type: ignore[valid-type]
    packing: Packing = Packing.ZSMALLOC
    anonymous: Anonymous = Anonymous.NONE
    compression_ratio: number_of("compression_ratio") = Policy.compression_ratio  # type: ignore[valid-type]
    tmem_ratio: number_of("tmem_ratio") = Policy.tmem_ratio  # type: ignore[valid-type]
    tmem_swing: number_of("tmem_swing") = Policy.tmem_swing  # type: ignore[valid-type]
    tmem_period_ns: number_of("tmem_period_ns") = Policy.tmem_period_ns  # type: ignore[valid-type]
    discard_ratio: number_of("discard_ratio") = Policy.discard_ratio  # type: ignore[valid-type]
    pinned_ratio: number_of("pinned_ratio") = Policy.pinned_ratio  # type: ignore[valid-type]
    pin_duration_ns: number_of("pin_duration_ns") = Policy.pin_duration_ns  # type: ignore[valid-type]
    pinned_on_purpose: number_of("pinned_on_purpose") = 0  # type: ignore[valid-type]
    metadata: Metadata = Metadata.MEMMAP
    seed: number_of("seed") = Policy.seed  # type: ignore[valid-type]


class FixedPolicy(PolicyFields):
    """What is held fixed: a preset, policy fields, or a preset with fields changed."""

    preset: Preset | None = None


class Baseline(FixedPolicy):
    """A policy that is run and stored beside the trials, but not shown to the sampler."""

    tag_block_size: TagBlockSize | None = None


FileName = Annotated[Text, Field(min_length=1)]


class Workload(_Model):
    """Where events come from: a table of them, an access trace, or a synthetic workload."""

    trace: Annotated[FileName, Field(description="Parquet file of mm events")] | None = None
    accesses: Annotated[FileName, Field(description="Parquet file of accesses")] | None = None
    synthetic: Generator | None = None
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0
    asks: number_of("asks") | None = None  # type: ignore[valid-type]
    compiles: number_of("compiles") | None = None  # type: ignore[valid-type]
    launches: number_of("launches") | None = None  # type: ignore[valid-type]
    apps: number_of("apps") | None = None  # type: ignore[valid-type]
    file_ratio: number_of("file_ratio") | None = None  # type: ignore[valid-type]
    skew: number_of("skew") | None = None  # type: ignore[valid-type]
    write_ratio: number_of("write_ratio") | None = None  # type: ignore[valid-type]
    large_folio_ratio: number_of("large_folio_ratio") | None = None  # type: ignore[valid-type]
    anonymous_ratio: number_of("anonymous_ratio") | None = None  # type: ignore[valid-type]
    tagged_ratio: number_of("tagged_ratio") | None = None  # type: ignore[valid-type]
    atomic_ratio: number_of("atomic_ratio") | None = None  # type: ignore[valid-type]
    burstiness: number_of("burstiness") | None = None  # type: ignore[valid-type]

    @property
    def given_fields(self) -> dict[str, Any]:
        """The keys that the study gives, with their values."""
        return self.model_dump(exclude_none=True)


class MachineFields(_Model):
    """The machine; what is left out is as the capture was recorded, or the kernel's default."""

    page_size: PageSize | None = None
    data_memory: Size | None = None
    tag_block_size: TagBlockSize | None = None
    # The kernel under accesses and synthetic workloads; a trace of mm events is of its own kernel.
    reclaim: Reclaim | None = None
    zram_size: SizeOrZero | None = None
    swap_size: SizeOrZero | None = None
    zram_ratio: number_of("zram_ratio") | None = None  # type: ignore[valid-type]
    swappiness: number_of("swappiness") | None = None  # type: ignore[valid-type]
    readahead_size: SizeOrZero | None = None
    page_cache_order: number_of("page_cache_order") | None = None  # type: ignore[valid-type]


class CostFields(_Model):
    """What each operation costs in nanoseconds: a preset, and what the study changes of it."""

    preset: CostPreset | None = None
    reserve_base_ns: Nanoseconds | None = None
    cache_line_ns: Nanoseconds | None = None
    slot_drop_ns: Nanoseconds | None = None
    read_random_ns: Nanoseconds | None = None
    read_sequential_ns: Nanoseconds | None = None
    copy_in_ns: Nanoseconds | None = None
    copy_out_ns: Nanoseconds | None = None
    lookup_ns: Nanoseconds | None = None
    migrate_base_ns: Nanoseconds | None = None
    migrate_page_ns: Nanoseconds | None = None
    compress_ns: Nanoseconds | None = None
    decompress_ns: Nanoseconds | None = None
    swap_write_ns: Nanoseconds | None = None
    tmem_copy_in_ns: Nanoseconds | None = None
    tmem_copy_out_ns: Nanoseconds | None = None


class Categorical(_Model):
    """One of several values."""

    type: Literal["categorical"]
    choices: Annotated[list[str | Whole | Number], Field(min_length=1)]


class IntRange(_Model):
    """A whole number from `low` to `high`, both included."""

    type: Literal["int"]
    low: Whole
    high: Whole
    step: Annotated[Whole, Field(ge=1)] = 1
    log: Flag = False


class FloatRange(_Model):
    """A number from `low` to `high`."""

    type: Literal["float"]
    low: Number
    high: Number
    step: Annotated[Number, Field(gt=0)] | None = None
    log: Flag = False


Parameter = Annotated[Categorical | IntRange | FloatRange, Field(discriminator="type")]


class Subspace(_Model):
    """Policies of one kind: what is held fixed, and what is searched, if anything."""

    policy: FixedPolicy = FixedPolicy()
    parameters: dict[str, Parameter] = {}


class Objective(_Model):
    """An outcome to make large or small."""

    metric: Metric
    direction: Literal["minimize", "maximize"]


class Constraint(_Model):
    """Bounds that an outcome must keep; a trial that breaks them is infeasible, not failed."""

    metric: Metric
    lower: Number | None = None
    upper: Number | None = None


class Sampler(_Model):
    """Which sampler asks for trials, and its seed."""

    name: Literal[tuple(SAMPLERS)]  # type: ignore[valid-type]
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0


class Study(_Model):
    """A question, the policies to try on which workloads, and what makes one better."""

    study: Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)]
    question: Text = ""
    workload: Annotated[list[Workload], Field(min_length=1)]
    machine: MachineFields = MachineFields()
    costs: CostFields = CostFields()
    policy: FixedPolicy = FixedPolicy()
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)] | None = None
    policies: Annotated[list[Subspace], Field(min_length=1)] | None = None
    baselines: list[Baseline] = []
    objectives: Annotated[list[Objective], Field(min_length=1)]
    constraints: list[Constraint] = []
    sampler: Sampler
    n_trials: Annotated[Whole, Field(ge=1, le=MAX_TRIALS)] | None = None
    generation: Annotated[Whole, Field(ge=2, le=65_536)] = 64
    replicates: Annotated[Whole, Field(ge=1, le=1000)] = 1

    @property
    def subspaces(self) -> list[Subspace]:
        """What is searched in turn: each of `policies`, or else `policy` and `parameters`."""
        return self.policies or [Subspace(policy=self.policy, parameters=self.parameters or {})]

    @property
    def searched(self) -> dict[str, Parameter]:
        """All parameters that are searched, by name; of two subspaces, the later one's."""
        return {
            name: parameter
            for subspace in self.subspaces
            for name, parameter in subspace.parameters.items()
        }

    def within(self, subspace: Subspace) -> Study:
        """Return the study that searches one subspace alone."""
        content = {"policy": subspace.policy, "parameters": subspace.parameters, "policies": None}
        return self.model_copy(update=content)

    def identity(self) -> dict[str, Any]:
        """Return what must stay the same for a study to go on: all but question and n_trials."""
        content = self.model_dump(mode="json", exclude_unset=True)
        return {key: content[key] for key in content if key not in ("question", "n_trials")}

    def cost_table(self, changed: dict[str, int] | None = None) -> Costs:
        """Return the study's costs, with some of them `changed`."""
        values = self.costs.model_dump(exclude={"preset"}, exclude_none=True) | (changed or {})
        base = COST_PRESETS[self.costs.preset or "ufs_phone"]
        return Costs(**(vars(base) | values))


#: The keys of each section; those of the study itself under "", of a parameter under its type.
SECTION_KEYS: dict[str, list[str]] = {
    section: list(model.model_fields)
    for section, model in (
        ("", Study),
        ("workload", Workload),
        ("machine", MachineFields),
        ("costs", CostFields),
        ("policy", FixedPolicy),
        ("policies", Subspace),
        ("baselines", Baseline),
        ("objectives", Objective),
        ("constraints", Constraint),
        ("sampler", Sampler),
        ("categorical", Categorical),
        ("int", IntRange),
        ("float", FloatRange),
    )
}
