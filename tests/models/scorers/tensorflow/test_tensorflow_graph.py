"""Kind tensorflow: what the graph of a SavedModel may do, and which file it is read from."""

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from models.errors import BundleRefused
from models.scorers import Scorer, load_scorer
from models.scorers.tensorflow.graph import check_graph
from models.scorers.tensorflow.operations import ALLOWED_OPERATIONS
from models.testing.subject import write_bundle
from tests.models.bundle_folders import document

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
TEXTS = pa.RecordBatch.from_pydict({"text": ["AA", "DL", "?"]})


def loaded(folder: Path) -> Scorer:
    inputs = [{"name": "text", "type": "string"}]
    manifest = write_bundle("tensorflow", folder, document("tensorflow", inputs=inputs, output={"kind": "regression"}))
    return load_scorer("tensorflow", folder, manifest)


def save(folder: Path, body: Callable[[Any], Any], **kept: Any) -> None:
    """A SavedModel whose signature runs `body` on texts; what is `kept` belongs to it."""
    import tensorflow as tf

    model = tf.Module()
    for name, value in kept.items():
        setattr(model, name, value)
    model.score = tf.function(body).get_concrete_function(tf.TensorSpec([None], tf.string, name="text"))
    tf.saved_model.save(model, str(folder), signatures=model.score)


def proto(path: Path) -> Any:
    from tensorflow.core.protobuf import saved_model_pb2

    return saved_model_pb2.SavedModel.FromString((path / "saved_model.pb").read_bytes())


def every_operation() -> dict[str, Any]:
    """All operations that the installed TensorFlow has registered, by name."""
    from tensorflow.core.framework import op_def_pb2
    from tensorflow.python.client import pywrap_tf_session

    listed = op_def_pb2.OpList()
    listed.ParseFromString(pywrap_tf_session.TF_GetBuffer(pywrap_tf_session.TF_GetAllOpList()))
    return {operation.name: operation for operation in listed.op}


def holding(operations: Iterable[str], folder: Path, inside: bool) -> Path:
    """The graph file of a SavedModel that holds operations, in a function or in the graph itself."""
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel()
    graph = model.meta_graphs.add()
    graph.object_graph_def.concrete_functions["__inference_score_1"].SetInParent()
    function = graph.graph_def.library.function.add()
    function.signature.name = "__inference_score_1"
    nodes = function.node_def if inside else graph.graph_def.node
    for operation in operations:
        nodes.add().op = operation
    (folder / "saved_model.pb").write_bytes(model.SerializeToString())
    return folder / "saved_model.pb"


@pytest.mark.parametrize("inside", [True, False], ids=["function", "graph"])
def test_every_operation_that_is_not_listed_is_refused(tmp_path: Path, inside: bool) -> None:
    known = {*every_operation(), "AnOperationOfALaterTensorFlow", "SimpleMLLoadModelFromPathWithHandle"}
    known -= {"InitializeTableFromTextFileV2"}  # which file it reads is looked at
    path = holding(known, tmp_path, inside)
    with pytest.raises(BundleRefused) as refusal:
        check_graph(tmp_path, path, write_bundle("tensorflow", tmp_path, document("tensorflow")))
    refused = str(refusal.value).partition("operations ")[2].partition("; expected")[0].split(", ")
    # The graph's own nodes are never run: TensorFlow's saver is among them.
    saver = set() if inside else {"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"}
    assert set(refused) == known - ALLOWED_OPERATIONS - saver


def test_listed_operations_are_those_of_this_tensorflow_and_take_no_path() -> None:
    operations = every_operation()
    assert ALLOWED_OPERATIONS - set(operations) == set()
    words = ("file", "path", "director", "address", "server", "descriptor", "token", "host")
    named = {
        name: [each.name for each in (*operations[name].input_arg, *operations[name].attr)]
        for name in ALLOWED_OPERATIONS - {"CTCBeamSearchDecoder"}  # its top_paths are a number
    }
    found = {name for name, names in named.items() if any(word in each.lower() for each in names for word in words)}
    assert found == set()


@pytest.mark.parametrize(
    "operation",
    [
        *("PrintV2", "SaveV2", "RestoreV2", "ReadFile", "WriteFile", "PyFunc", "TextLineDataset", "ImmutableConst"),
        *("WholeFileReaderV2", "DebugIdentityV3", "CreateSummaryFileWriter", "RpcCall", "RemoteCall", "XlaCallModule"),
        *("FixedUnigramCandidateSampler", "DecodeProtoV2", "LoadAndRemapMatrix", "QueueDequeueV2", "Abort"),
    ],
)
def test_operations_that_reach_beyond_memory_are_not_listed(operation: str) -> None:
    assert operation not in ALLOWED_OPERATIONS
    assert operation in every_operation()


def attacks() -> dict[str, Callable[[str], Callable[[Any], Any]]]:
    """Bodies of scoring functions by what they would do to a path."""
    import tensorflow as tf

    def answer(texts: Any, after: Any) -> Any:
        with tf.control_dependencies([after]):
            return {"score": tf.cast(tf.strings.length(texts), tf.float32)}

    def nested(path: str, texts: Any) -> Any:
        def write() -> Any:
            with tf.control_dependencies([tf.io.write_file(path, "x")]):
                return tf.constant(1)

        return answer(texts, tf.cond(tf.size(texts) > 0, tf.function(write), lambda: tf.constant(0)))

    def table(path: str, texts: Any) -> Any:
        handle = tf.raw_ops.HashTableV2(key_dtype=tf.string, value_dtype=tf.int64)
        return answer(texts, tf.raw_ops.InitializeTableFromTextFileV2(
            table_handle=handle, filename=path, key_index=-2, value_index=-1
        ))  # fmt: skip

    def save_v2(path: str, texts: Any) -> Any:
        return answer(texts, tf.raw_ops.SaveV2(prefix=path, tensor_names=["a"], shape_and_slices=[""], tensors=[texts]))

    return {
        "PrintV2": lambda path: lambda texts: answer(texts, tf.print(texts, output_stream=f"file://{path}")),
        "WriteFile": lambda path: lambda texts: nested(path, texts),
        "ReadFile": lambda path: lambda texts: answer(texts, tf.io.read_file(path)),
        "SaveV2": lambda path: lambda texts: save_v2(path, texts),
        "reads a table from a file": lambda path: lambda texts: table(path, texts),
        "TextLineDataset": lambda path: lambda texts: answer(
            texts, tf.data.TextLineDataset(path).reduce(0, lambda count, _: count + 1)
        ),
    }


@pytest.mark.parametrize(
    "name", ["PrintV2", "WriteFile", "ReadFile", "SaveV2", "reads a table from a file", "TextLineDataset"]
)
def test_model_that_touches_a_file_of_its_own_choice_is_refused(tmp_path: Path, name: str) -> None:
    target = tmp_path / "target.txt"
    save(tmp_path / "bundle", attacks()[name](str(target)))
    with pytest.raises(BundleRefused, match=name):
        loaded(tmp_path / "bundle").score(TEXTS)
    assert not target.exists()


def lengths(texts: Any) -> Any:
    import tensorflow as tf

    return {"score": tf.cast(tf.strings.length(texts), tf.float32)}


def test_another_graph_file_beside_it_is_refused(tmp_path: Path) -> None:
    save(tmp_path, lengths)
    (tmp_path / "saved_model.pbtxt").write_text("", encoding="utf-8")
    with pytest.raises(BundleRefused, match=r"saved_model\.pb, saved_model\.pbtxt; expected: exactly one"):
        loaded(tmp_path)


def test_file_whose_name_only_ends_like_the_graph_files_is_not_taken_for_it(tmp_path: Path) -> None:
    save(tmp_path, lengths)
    (tmp_path / "saved_model.pb").rename(tmp_path / "not_saved_model.pb")
    with pytest.raises(BundleRefused, match="graph files none; expected: exactly one"):
        loaded(tmp_path)


def with_vocabulary(folder: Path) -> None:
    import tensorflow as tf

    vocabulary = folder.parent / "vocabulary.txt"
    vocabulary.write_text("AA\nDL\n", encoding="utf-8")
    line, number = tf.lookup.TextFileIndex.WHOLE_LINE, tf.lookup.TextFileIndex.LINE_NUMBER
    read = tf.lookup.TextFileInitializer(str(vocabulary), tf.string, line, tf.int64, number)
    table = tf.lookup.StaticHashTable(read, -1)
    save(folder, lambda texts: {"score": tf.cast(table.lookup(texts), tf.float32)}, table=table)


def test_table_of_an_asset_of_the_bundle_is_read(tmp_path: Path) -> None:
    with_vocabulary(tmp_path / "bundle")
    (tmp_path / "vocabulary.txt").unlink()
    assert loaded(tmp_path / "bundle").score(TEXTS).tolist() == [0.0, 1.0, -1.0]


@pytest.mark.parametrize("filename", ["../../secret.txt", "/etc/passwd", "other.txt", "file:///etc/passwd"])
def test_asset_outside_of_the_bundle_is_refused(tmp_path: Path, filename: str) -> None:
    with_vocabulary(tmp_path / "bundle")
    model = proto(tmp_path / "bundle")
    model.meta_graphs[0].asset_file_def[0].filename = filename
    (tmp_path / "bundle" / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(BundleRefused, match="asset"):
        loaded(tmp_path / "bundle")


def saver_of(model: Any) -> Any:
    functions = model.meta_graphs[0].graph_def.library.function
    return next(each for each in functions if any(node.op == "SaveV2" for node in each.node_def))


def name_as_an_object(model: Any) -> None:
    """An object whose function is the saver: TensorFlow would run it as the creator of a resource."""
    added = model.meta_graphs[0].object_graph_def.nodes.add()
    added.bare_concrete_function.concrete_function_name = saver_of(model).signature.name


def say_that_it_implements_another(model: Any) -> None:
    saver_of(model).attr["api_implements"].s = b"scoring"


def call_from_a_function(model: Any) -> None:
    functions = model.meta_graphs[0].graph_def.library.function
    other = next(each for each in functions if each is not saver_of(model) and each.node_def)
    added = other.node_def.add(name="again", op="StatefulPartitionedCall")
    added.attr["f"].func.name = saver_of(model).signature.name


def make_it_a_model_of_the_first_tensorflow(model: Any) -> None:
    model.meta_graphs[0].ClearField("object_graph_def")


def hide_behind_an_operation(model: Any) -> None:
    saver_of(model).signature.name = "Identity"


@pytest.mark.parametrize(
    "change",
    [
        *(name_as_an_object, say_that_it_implements_another, call_from_a_function),
        *(make_it_a_model_of_the_first_tensorflow, hide_behind_an_operation),
    ],
)
def test_saver_that_anything_may_run_is_refused(tmp_path: Path, change: Callable[[Any], None]) -> None:
    import tensorflow as tf

    weight = tf.Variable(2.0)
    save(tmp_path, lambda texts: {"score": weight * tf.cast(tf.strings.length(texts), tf.float32)}, weight=weight)
    assert loaded(tmp_path).score(TEXTS).tolist() == [4.0, 4.0, 2.0]
    model = proto(tmp_path)
    change(model)
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(BundleRefused, match=r"operations MergeV2Checkpoints|function 'Identity'"):
        loaded(tmp_path)


def test_model_of_the_first_tensorflow_without_variables_is_served(tmp_path: Path) -> None:
    import tensorflow as tf

    old = tf.compat.v1
    with old.Graph().as_default(), old.Session() as session:
        texts = old.placeholder(tf.string, [None], name="text")
        score = tf.cast(tf.strings.length(texts), tf.float32)
        old.saved_model.simple_save(session, str(tmp_path), {"text": texts}, {"score": score})
    assert loaded(tmp_path).score(TEXTS).tolist() == [2.0, 2.0, 1.0]


def test_constant_that_holds_a_graph_of_its_own_is_refused(tmp_path: Path) -> None:
    save(tmp_path, lengths)
    model = proto(tmp_path)
    constant = model.meta_graphs[0].graph_def.library.function[0].node_def.add(name="hidden", op="Const")
    constant.attr["value"].tensor.variant_val.add(type_name="tensorflow::WrappedDatasetVariant")
    (tmp_path / "saved_model.pb").write_bytes(model.SerializeToString())
    with pytest.raises(BundleRefused, match="operations Const"):
        loaded(tmp_path)


def layers() -> dict[str, Callable[[Path], Any]]:
    """Keras layers that keep words in tables, by how they got them."""
    import keras

    def words(folder: Path) -> str:
        (folder / "words.txt").write_text("AA\nDL\n", encoding="utf-8")
        return str(folder / "words.txt")

    return {
        "lookup of a file": lambda folder: keras.layers.StringLookup(vocabulary=words(folder), output_mode="one_hot"),
        "lookup of a list": lambda folder: keras.layers.StringLookup(vocabulary=["AA", "DL"], output_mode="one_hot"),
        "vectorization": lambda folder: keras.layers.TextVectorization(
            vocabulary=words(folder), output_mode="multi_hot", standardize=None
        ),
        "hashing": lambda folder: keras.layers.Hashing(3, output_mode="one_hot"),
    }


@pytest.mark.parametrize("name", ["lookup of a file", "lookup of a list", "vectorization", "hashing"])
def test_keras_models_that_keep_words_are_served(tmp_path: Path, name: str) -> None:
    import keras
    import numpy as np
    import tensorflow as tf

    keras.utils.set_random_seed(1)
    given = keras.Input((1,), dtype="string", name="text")
    model = keras.Model(given, keras.layers.Dense(1)(layers()[name](tmp_path)(given)))
    model.export(str(tmp_path / "bundle"), verbose=False)
    truth = model(tf.constant([["AA"], ["DL"], ["?"]])).numpy().ravel()
    np.testing.assert_allclose(loaded(tmp_path / "bundle").score(TEXTS), truth, rtol=1e-6)
