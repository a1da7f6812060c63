"""The TFX pipeline of every model, on both targets: one function from settings and a run to components."""

from __future__ import annotations

from typing import Any

from tfx import v1 as tfx
from tfx.components.schema_gen.import_schema_gen.component import ImportSchemaGen
from tfx.dsl.components.base.base_node import BaseNode

from ml.kinds import kind_of
from ml.settings import Settings
from ml.tfx.comparison import ComparisonGate
from ml.tfx.run_spec import RunSpec
from ml.tfx.strict_example_validator import StrictExampleValidator
from ml.tfx.window_example_gen import HELD_OUT, WindowExampleGen

#: One worker in this process: for data that fits a machine, Beam's start-up costs more than its work. It runs in no
#: container; without the last of these TFX packs its own sources for workers on other machines before each component,
#: which takes seconds and leaves a copy of TFX in the temporary folder.
BEAM_ARGUMENTS = [
    "--runner=DirectRunner",
    "--direct_running_mode=in_memory",
    "--direct_num_workers=1",
    "--sdk_container_image=none",
]

#: The training settings that change what is trained, and not when or whether it is released.
_FITTING = {"epochs", "batch_size", "learning_rate", "seed"}


def create_pipeline(
    settings: Settings, run: RunSpec, *, beam_arguments: list[str] = BEAM_ARGUMENTS
) -> tfx.dsl.Pipeline:
    """The pipeline of one run. It names no metadata store: Vertex brings its own, and a local run opens the one of
    :func:`ml.tfx.metadata_places.metadata_place`, whose password belongs into no compiled pipeline."""
    example_gen = WindowExampleGen(files=run.files, fingerprint=run.fingerprint).with_id("ImportExampleGen")
    schema_gen = ImportSchemaGen(schema_file=run.schema_file)
    statistics_gen = tfx.components.StatisticsGen(
        examples=example_gen.outputs["examples"],
        # Tells it which features are images, whose bytes are not worth counting as if they were words.
        schema=schema_gen.outputs["schema"],
        exclude_splits=[HELD_OUT],
    )
    validator = StrictExampleValidator(
        statistics=statistics_gen.outputs["statistics"], schema=schema_gen.outputs["schema"]
    ).with_id("ExampleValidator")
    transform = tfx.components.Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn=_function(settings, "preprocessing.preprocessing_fn"),
        splits_config=tfx.proto.SplitsConfig(analyze=["train"], transform=["train", "eval"]),
        # The Trainer applies the transform graph itself, in tf.data: faster than Beam, and no decoded copy is kept.
        materialize=False,
        disable_statistics=True,
        disable_analyzer_cache=True,
        custom_config=_config(settings, run, "model"),
    )
    transform.add_upstream_node(validator)
    inputs = {
        "examples": example_gen.outputs["examples"],
        "transform_graph": transform.outputs["transform_graph"],
        "schema": schema_gen.outputs["schema"],
        "train_args": tfx.proto.TrainArgs(splits=["train"]),
        "eval_args": tfx.proto.EvalArgs(splits=["eval"]),
    }
    components: list[BaseNode] = [example_gen, statistics_gen, schema_gen, validator, transform]
    hyperparameters = None
    if settings.tuner.enabled:
        tuner = tfx.components.Tuner(
            **inputs,
            tuner_fn=_function(settings, "model.tuner_fn"),
            custom_config=_config(settings, run, "model", "training", "tuner"),
        )
        components.append(tuner)
        hyperparameters = tuner.outputs["best_hyperparameters"]
    trainer = tfx.components.Trainer(
        **inputs,
        hyperparameters=hyperparameters,
        run_fn=_function(settings, "model.run_fn"),
        custom_config=_config(settings, run, "model", "training"),
    )
    champion = tfx.dsl.Importer(
        source_uri=run.champion.uri,
        artifact_type=tfx.types.standard_artifacts.Model,
        custom_properties={"version": run.champion.version, "run": run.champion.run},
    ).with_id("Champion")
    evaluator = tfx.components.Evaluator(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        example_splits=["eval"],
        schema=schema_gen.outputs["schema"],
        eval_config=kind_of(settings).evaluation_config(settings),
    )
    comparison = ComparisonGate(
        examples=example_gen.outputs["examples"],
        model=trainer.outputs["model"],
        champion_model=champion.outputs["result"],
        evaluated=evaluator.outputs["blessing"],
        settings=settings,
        champion=run.champion.version,
        record=run.comparison,
    ).with_id("Comparison")
    pusher = tfx.components.Pusher(
        model=trainer.outputs["model"],
        model_blessing=comparison.outputs["blessing"],
        push_destination=tfx.proto.PushDestination(
            filesystem=tfx.proto.PushDestination.Filesystem(base_directory=run.push_folder)
        ),
    )
    return tfx.dsl.Pipeline(
        pipeline_name=settings.name,
        pipeline_root=run.pipeline_root,
        components=[*components, trainer, champion, evaluator, comparison, pusher],
        enable_cache=True,
        beam_pipeline_args=beam_arguments,
    )


def _function(settings: Settings, name: str) -> str:
    return f"ml.pipelines.{settings.name}.{name}"


def _config(settings: Settings, run: RunSpec, *sections: str) -> dict[str, Any]:
    """What a component's own code reads, and (the sources' hash) what TFX has to see to know that it changed."""
    values = {
        "model": settings.model.model_dump(mode="json"),
        "training": settings.training.model_dump(mode="json", include=_FITTING),
        "tuner": settings.tuner.model_dump(mode="json"),
    }
    return {"sources": run.sources} | {section: values[section] for section in sections}
