"""The study: which keys and values `study.yaml` may have, and what is read off them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, create_model

from core.cost_presets import COST_PRESETS, DEFAULT_PRESET
from core.costs import DECLARED_COSTS
from core.declaration import Declaration
from core.frontend.run import SETTINGS
from core.policy import DECLARED, Policy
from core.workload.synthetic import PARAMETERS
from sweep.study.samplers import AUTO, SAMPLERS
from sweep.study.values import (
    MAX_TRIALS,
    TAGGED_RATIO,
    CostPreset,
    Duration,
    FileName,
    Flag,
    Generator,
    Metric,
    Number,
    PageSize,
    Preset,
    Size,
    TagBlockSize,
    Text,
    WarmUp,
    Whole,
    type_of,
)


class _Model(BaseModel):
    # Built when it is first used, and then once: not by itself, and again in each that holds it.
    # Descriptions are no docstrings, for which pydantic parses this file once a class. Both would
    # take their time at every start.
    model_config = ConfigDict(extra="forbid", frozen=True, defer_build=True)


def _model_of(name: str, fields: dict[str, Any]) -> Any:
    """Return a model of (type, default) by field name."""
    return create_model(name, __base__=_Model, **fields)


def _described(declared: Declaration) -> Any:
    return Field(None, description=declared.meaning)


def _given_or_none(fields: Mapping[str, Declaration]) -> dict[str, Any]:
    """Return what `_model_of` takes of declared fields that may all be left out."""
    return {
        name: (type_of(declared) | None, _described(declared)) for name, declared in fields.items()
    }


#: Policy fields by name, as core/policy.py declares them; those left out are the preset's, or the
#: defaults of docs/model.md.
PolicyFields: Any = _model_of(
    "PolicyFields",
    {name: (type_of(DECLARED[name]), getattr(Policy, name)) for name in DECLARED},
)


class FixedPolicy(PolicyFields):  # type: ignore[misc]
    """What is held fixed: a preset, policy fields, or a preset with fields changed."""

    preset: Preset | None = Field(None, description="the policy that the fields here change")


class Baseline(FixedPolicy):
    """A policy that is run and stored beside the trials, but not shown to the sampler."""

    tag_block_size: TagBlockSize | None = Field(
        None,
        description="bytes of a tag block under this policy, where they differ from the machine's",
    )


#: The parameters of synthetic workloads; those left out are the generator's defaults.
WorkloadParameters: Any = _model_of(
    "WorkloadParameters",
    _given_or_none(PARAMETERS)
    | {"tagged_ratio": (TAGGED_RATIO | None, _described(PARAMETERS["tagged_ratio"]))},
)


class Workload(WorkloadParameters):  # type: ignore[misc]
    """Where events come from: a table of them, an access trace, or a synthetic workload."""

    trace: FileName | None = Field(
        None, description="Parquet file of mm events, which are replayed as they were recorded"
    )
    accesses: FileName | None = Field(
        None,
        description="Parquet file of an access trace, which runs through the page cache of the "
        "study's machine",
    )
    synthetic: Generator | None = Field(
        None,
        description="generator of an access trace, which runs through the page cache of the "
        "study's machine",
    )
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = Field(
        0, description="seed of what is random in the workload; replicate r has seed + r"
    )

    @property
    def given_fields(self) -> dict[str, Any]:
        """The keys that the study gives, with their values."""
        given: dict[str, Any] = self.model_dump(exclude_none=True)
        return given


#: The kernel under accesses and synthetic workloads; a trace of mm events is of its own kernel.
KernelSettings: Any = _model_of("KernelSettings", _given_or_none(SETTINGS))


class MachineFields(KernelSettings):  # type: ignore[misc]
    """The machine; what is left out is as the capture was recorded, or the kernel's default."""

    page_size: PageSize | None = Field(None, description="bytes of a page")
    data_memory: Size | None = Field(
        None, description="bytes of the memory that can be tagged; its tags take another 1/32"
    )
    tag_block_size: TagBlockSize | None = Field(
        None,
        description="bytes of a tag block: the tag storage that is reserved together, made up to "
        "whole pages",
    )


#: What each operation takes in nanoseconds, as core/costs.py declares it.
CostTable: Any = _model_of("CostTable", _given_or_none(DECLARED_COSTS))


class CostFields(CostTable):  # type: ignore[misc]
    """What each operation costs in nanoseconds: a preset, measured costs, and what is changed."""

    preset: CostPreset | None = Field(
        None,
        description="the class of machines whose costs hold, where none is given here or measured",
    )
    measured: FileName | None = Field(
        None,
        description="YAML file of sweep trace costs, whose costs hold where none is given here",
    )


class Categorical(_Model):
    """One of several values."""

    type: Literal["categorical"] = Field(description="that the value is one of the choices")
    choices: Annotated[list[str | Whole | Number], Field(min_length=1)] = Field(
        description="the values, in no order"
    )


class IntRange(_Model):
    """A whole number from `low` to `high`, both included."""

    type: Literal["int"] = Field(description="that the value is a whole number")
    low: Whole = Field(description="the least value")
    high: Whole = Field(description="the largest value, included")
    step: Annotated[Whole, Field(ge=1)] = Field(
        1, description="the distance of one value to the next"
    )
    log: Flag = Field(
        False,
        description="whether small values are searched as closely as large ones, by their "
        "logarithm",
    )


class FloatRange(_Model):
    """A number from `low` to `high`."""

    type: Literal["float"] = Field(description="that the value is a number")
    low: Number = Field(description="the least value")
    high: Number = Field(description="the largest value")
    step: Annotated[Number, Field(gt=0)] | None = Field(
        None,
        description="the distance of one value to the next; without it, every number between is "
        "one",
    )
    log: Flag = Field(
        False,
        description="whether small values are searched as closely as large ones, by their "
        "logarithm",
    )


Parameter = Annotated[Categorical | IntRange | FloatRange, Field(discriminator="type")]


class Subspace(_Model):
    """Policies of one kind: what is held fixed, and what is searched, if anything."""

    policy: FixedPolicy = Field(FixedPolicy(), description="what these policies hold fixed")
    parameters: dict[str, Parameter] = Field(
        {}, description="what is searched among these policies"
    )


class Objective(_Model):
    """An outcome to make large or small."""

    metric: Metric = Field(description="the outcome")
    direction: Literal["minimize", "maximize"] = Field(
        description="whether less of it is better, or more"
    )
    over: Literal["worst", "mean", "each"] = Field(
        "worst", description="what it is of several scenarios: the worst, the mean, or each of them"
    )


class Constraint(_Model):
    """Bounds that an outcome must keep in every scenario; else a trial is infeasible."""

    metric: Metric = Field(description="the outcome")
    lower: Number | None = Field(None, description="the least that it may be")
    upper: Number | None = Field(None, description="the most that it may be")


class Sampler(_Model):
    """Which sampler asks for trials, and its seed."""

    name: Literal[(AUTO, *SAMPLERS)] = Field(  # type: ignore[valid-type]
        default=AUTO,
        description="the sampler, as sweep explain lists them, or auto: one that suits the study",
    )
    seed: Annotated[Whole, Field(ge=0, lt=2**32)] = Field(
        default=0,
        description="seed of what it draws: the same study with the same seed asks for the same "
        "trials",
    )
    _why: str = PrivateAttr("")

    @property
    def why(self) -> str:
        """Why this one was picked; "" where the study names it."""
        return self._why

    def picked(self, name: str, why: str) -> Sampler:
        """Return the sampler that was picked for a study that names none.

        Parameters
        ----------
        name
            Its name.
        why
            Why it suits the study, in a few words.
        """
        sampler = self.model_copy(update={"name": name})
        sampler._why = why
        return sampler


class Stop(_Model):
    """When the search ends before its last trial, at the end of a generation."""

    time: Duration | None = Field(default=None, description="how long a run goes on, such as 10min")
    patience: Annotated[Whole, Field(ge=1)] | None = Field(
        default=None, description="how many trials on end may bring nothing better"
    )


class Study(_Model):
    """A question, the policies to try on which workloads, and what makes one better."""

    study: Annotated[Text, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=100)] = Field(
        description="the study's name in the database"
    )
    question: Text = Field("", description="what the study is to answer; a report begins with it")
    workload: Annotated[list[Workload], Field(min_length=1)] = Field(
        description="where events come from: one workload, or several; a trial runs on each of them"
    )
    machine: MachineFields = Field(
        MachineFields(), description="the machine, and the kernel that runs workloads of accesses"
    )
    costs: CostFields = Field(
        CostFields(), description="what each operation takes: the name of a preset, or costs"
    )
    policy: FixedPolicy = Field(FixedPolicy(), description="what all policies hold fixed")
    parameters: Annotated[dict[str, Parameter], Field(min_length=1)] | None = Field(
        None, description="what is searched: fields of a policy, which a designer decides"
    )
    policies: Annotated[list[Subspace], Field(min_length=1)] | None = Field(
        None,
        description="kinds of policies that are searched in turn, in place of policy and "
        "parameters",
    )
    baselines: list[Baseline] = Field([], description="policies that the trials are compared with")
    scenarios: Any = Field(
        None,
        description="what the world is, in which every policy runs: a grid of values, or a list "
        "of named worlds",
    )
    objectives: Annotated[list[Objective], Field(min_length=1)] = Field(
        description="the outcomes that make a policy better"
    )
    constraints: list[Constraint] = Field(
        [], description="bounds on outcomes, which a trial must keep to be feasible"
    )
    sampler: Sampler = Field(Sampler(), description="how trials are chosen: a sampler, or its name")
    n_trials: Annotated[Whole, Field(ge=1, le=MAX_TRIALS)] | None = Field(
        None, description="how many trials there are, of each entry of policies; a grid needs none"
    )
    generation: Annotated[Whole, Field(ge=2, le=65_536)] = Field(
        64,
        description="how many trials are asked for at once, before any of their outcomes is told",
    )
    stop: Stop = Field(Stop(), description="when the search ends before the last of its trials")
    trial_timeout: Duration | None = Field(None, description="how long a trial may take: 10min")
    replicates: Annotated[Whole, Field(ge=1, le=1000)] = Field(
        1, description="how many seeds each random workload is run with"
    )
    warm_up: WarmUp = Field(
        0.0,
        description="share of a workload's time, in 64ths, that is replayed first and counts in "
        "no outcome",
    )

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
        """Return what must stay the same for a study to go on: not how far, nor how long.

        Which sampler was picked is not in it either: the database keeps that.
        """
        content = self.model_dump(mode="json", exclude_unset=True)
        sampler = content.get("sampler", {})
        if self.sampler.why or self.sampler.name == AUTO:
            sampler.pop("name", None)
        left_out = ("question", "n_trials", "stop", "trial_timeout") + ("sampler",) * (not sampler)
        return {key: value for key, value in content.items() if key not in left_out}

    def costs_by_name(self) -> dict[str, int]:
        """Return the study's costs; it is not checked that they do not contradict each other."""
        given = self.costs.model_dump(exclude={"preset", "measured"}, exclude_none=True)
        return {**vars(COST_PRESETS[self.costs.preset or DEFAULT_PRESET]), **given}


#: What each section of a study holds; the study itself stands under "", a parameter under its type.
SECTIONS: dict[str, type[BaseModel]] = {
    "": Study,
    "workload": Workload,
    "machine": MachineFields,
    "costs": CostFields,
    "policy": FixedPolicy,
    "policies": Subspace,
    "baselines": Baseline,
    "objectives": Objective,
    "constraints": Constraint,
    "sampler": Sampler,
    "stop": Stop,
    "categorical": Categorical,
    "int": IntRange,
    "float": FloatRange,
}
#: So begin keys of a study that only hold anchors for YAML's aliases, as in compose files.
ANCHORS = "x-"
#: The keys of each section.
SECTION_KEYS: dict[str, list[str]] = {
    section: list(model.model_fields) for section, model in SECTIONS.items()
}
