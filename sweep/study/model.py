"""The study: which keys and values `study.yaml` may have, and what is read off them."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, create_model

from core.cost_presets import COST_PRESETS, DEFAULT_PRESET
from core.costs import DECLARED_COSTS, Costs
from core.frontend.run import SETTINGS
from core.policy import DECLARED, Policy
from core.workload.synthetic import PARAMETERS
from sweep.study.samplers import SAMPLERS
from sweep.study.values import (
    MAX_TRIALS,
    CostPreset,
    Flag,
    Generator,
    Metric,
    Number,
    PageSize,
    Preset,
    Size,
    TagBlockSize,
    Text,
    Whole,
    type_of,
)


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _model_of(name: str, fields: dict[str, Any]) -> Any:
    """Return a model of (type, default) by field name."""
    return create_model(name, __base__=_Model, **fields)


#: Policy fields by name, as core/policy.py declares them; those left out are the preset's, or the
#: defaults of docs/model.md.
PolicyFields: Any = _model_of(
    "PolicyFields",
    {name: (type_of(DECLARED[name]), getattr(Policy, name)) for name in DECLARED},
)


class FixedPolicy(PolicyFields):  # type: ignore[misc]
    """What is held fixed: a preset, policy fields, or a preset with fields changed."""

    preset: Preset | None = None


class Baseline(FixedPolicy):
    """A policy that is run and stored beside the trials, but not shown to the sampler."""

    tag_block_size: TagBlockSize | None = None


FileName = Annotated[Text, Field(min_length=1)]


#: The parameters of synthetic workloads; those left out are the generator's defaults.
WorkloadParameters: Any = _model_of(
    "WorkloadParameters",
    {name: (type_of(declared) | None, None) for name, declared in PARAMETERS.items()},
)


class Workload(WorkloadParameters):  # type: ignore[misc]
    """Where events come from: a table of them, an access trace, or a synthetic workload."""

    trace: Annotated[FileName, Field(description="Parquet file of mm events")] | None = None
    accesses: Annotated[FileName, Field(description="Parquet file of accesses")] | None = None
    synthetic: Generator | None = None
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = 0

    @property
    def given_fields(self) -> dict[str, Any]:
        """The keys that the study gives, with their values."""
        given: dict[str, Any] = self.model_dump(exclude_none=True)
        return given


#: The kernel under accesses and synthetic workloads; a trace of mm events is of its own kernel.
KernelSettings: Any = _model_of(
    "KernelSettings",
    {name: (type_of(declared) | None, None) for name, declared in SETTINGS.items()},
)


class MachineFields(KernelSettings):  # type: ignore[misc]
    """The machine; what is left out is as the capture was recorded, or the kernel's default."""

    page_size: PageSize | None = None
    data_memory: Size | None = None
    tag_block_size: TagBlockSize | None = None


#: What each operation takes in nanoseconds, as core/costs.py declares it.
CostTable: Any = _model_of(
    "CostTable",
    {name: (type_of(DECLARED_COSTS[name]) | None, None) for name in DECLARED_COSTS},
)


class CostFields(CostTable):  # type: ignore[misc]
    """What each operation costs in nanoseconds: a preset, measured costs, and what is changed."""

    preset: CostPreset | None = None
    measured: Annotated[FileName, Field(description="YAML file of sweep trace costs")] | None = None


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
    over: Annotated[
        Literal["worst", "mean", "each"],
        Field(description="what it is of several scenarios: the worst, the mean, or each of them"),
    ] = "worst"


class Constraint(_Model):
    """Bounds that an outcome must keep in every scenario; else a trial is infeasible."""

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
    scenarios: Annotated[
        Any, Field(description="what the world is, in which every policy runs: a grid or a list")
    ] = None
    objectives: Annotated[list[Objective], Field(min_length=1)]
    constraints: list[Constraint] = []
    sampler: Sampler
    n_trials: Annotated[Whole, Field(ge=1, le=MAX_TRIALS)] | None = None
    generation: Annotated[Whole, Field(ge=2, le=65_536)] = 64
    replicates: Annotated[Whole, Field(ge=1, le=1000)] = 1
    warm_up: Annotated[
        Number, Field(ge=0, lt=1, description="share of the time, in 64ths, that is not counted")
    ] = 0.0

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

    def with_costs(self, measured: dict[str, Any]) -> Study:
        """Return the study with measured costs; what it says itself of a cost counts more.

        Parameters
        ----------
        measured
            The costs in the file of measured ones, and its preset, if it has one.
        """
        said = self.costs.model_dump(exclude_unset=True)
        return self.model_copy(update={"costs": CostFields.model_validate(measured | said)})

    def identity(self) -> dict[str, Any]:
        """Return what must stay the same for a study to go on: all but question and n_trials."""
        content = self.model_dump(mode="json", exclude_unset=True)
        return {key: content[key] for key in content if key not in ("question", "n_trials")}

    def cost_table(self) -> Costs:
        """Return the study's costs."""
        given = self.costs.model_dump(exclude={"preset", "measured"}, exclude_none=True)
        base = COST_PRESETS[self.costs.preset or DEFAULT_PRESET]
        return Costs(**(vars(base) | given))


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
