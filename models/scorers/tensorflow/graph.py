"""What a SavedModel may do, read from the very file that TensorFlow will load, before it is loaded.

TensorFlow runs functions of a graph not only to score: creators and initialisers of tables run while it loads. So every
operation of the graph and of all its functions must be allowed, whatever calls it. There are two exceptions, both
verified: the functions by which TensorFlow would save the model again, which nothing calls, and tables that are read
from the bundle's own assets.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from models.bundles.manifest import Manifest, check_path
from models.scorers.base import WillNotLoad
from models.scorers.tensorflow.operations import ALLOWED_OPERATIONS
from schemas.expectations import wants

_FILE = "saved_model.pb"
_SAVER = frozenset({"MergeV2Checkpoints", "RestoreV2", "SaveV2", "ShardedFilename"})
_TABLE_OF_FILE = "InitializeTableFromTextFileV2"


def graph_file(folder: Path, manifest: Manifest) -> Path:
    """The one graph file of the bundle.

    Raises:
        WillNotLoad: there is none or more than one, or beside it another that TensorFlow could take instead.
    """
    found = [path for path in manifest.files if PurePosixPath(path).name.startswith("saved_model.")]
    if len(found) != 1 or PurePosixPath(found[0]).name != _FILE:
        listed = ", ".join(sorted(found)) or "none"
        raise WillNotLoad(f"tensorflow: graph files {listed}; expected: exactly one {_FILE}")
    path = folder / found[0]
    others = sorted(other.name for other in path.parent.glob("saved_model.*") if other.name != _FILE)
    if others:
        raise WillNotLoad(f"tensorflow: {', '.join(others)} beside {found[0]}; expected: exactly one graph file")
    return path


def check_graph(folder: Path, path: Path, manifest: Manifest) -> None:
    """Refuse a graph that holds an operation that is not allowed.

    Args:
        folder: the bundle.
        path: its graph file.
        manifest: its manifest.

    Raises:
        WillNotLoad: naming the operations, or the file that a table would be read from.
    """
    from tensorflow.core.protobuf import saved_model_pb2

    model = saved_model_pb2.SavedModel.FromString(path.read_bytes())
    if not model.meta_graphs:
        raise WillNotLoad("tensorflow: no graph in the SavedModel; expected: exactly one")
    # TensorFlow loads any other graph as version 1 did: it runs the graph's own nodes and its saver.
    second = len(model.meta_graphs) == 1 and model.meta_graphs[0].HasField("object_graph_def")
    assets = PurePosixPath(path.relative_to(folder).parent.as_posix()) / "assets"
    for each in model.meta_graphs:
        _check(_Graph(each, second), assets, manifest)


class _Graph:
    """A graph and its functions; `second` says that TensorFlow 2 runs it, by those functions that objects name."""

    def __init__(self, graph: Any, second: bool) -> None:
        self.nodes = graph.graph_def.node
        self.functions: list[Any] = list(graph.graph_def.library.function)
        self.names = Counter(function.signature.name for function in self.functions)
        self.called = Counter(name for function in self.functions for name in self._named_by(function))
        self.concrete: Mapping[str, Any] = graph.object_graph_def.concrete_functions
        self.objects = graph.object_graph_def.nodes
        self.assets = graph.asset_file_def
        self.second = second
        self._objects_in_bytes = graph.object_graph_def.SerializeToString()

    def _named_by(self, function: Any) -> Iterator[str]:
        """Every function that a function names, as a call or in any of its texts."""
        for node in function.node_def:
            yield from (name for name in (node.op, *_texts(node.attr)) if name in self.names)
        yield from (name for name in _texts(function.attr) if name in self.names)

    def runs(self, function: Any) -> bool:
        """Whether anything may run a function: false only for functions that nothing but the graph's own nodes
        names."""
        name = function.signature.name
        # Of functions declared as implementations of the same thing, TensorFlow may run another one than is called.
        implements = any("implements" in attribute for attribute in function.attr)
        return not self.second or implements or self.called[name] > 0 or name.encode() in self._objects_in_bytes


def _texts(attributes: Mapping[str, Any]) -> Iterator[str]:
    """All names of functions and all texts in the attributes of a node or function."""
    for value in attributes.values():
        for function in (value.func, *value.list.func):
            yield function.name
            yield from _texts(function.attr)
        yield from (text.decode("utf-8", "replace") for text in (value.s, *value.list.s))


def _check(graph: _Graph, assets: PurePosixPath, manifest: Manifest) -> None:
    _check_functions(graph)
    refused = {node.op for node in graph.nodes if not _allowed(node, graph, runs=not graph.second)}
    for function in graph.functions:
        runs = graph.runs(function)
        for node in function.node_def:
            if node.op == _TABLE_OF_FILE:
                _check_table(graph, function, node, assets, manifest)
            elif not _allowed(node, graph, runs):
                refused.add(node.op)
    if refused:
        allowed = "operations that reckon in memory, in a SavedModel of TensorFlow 2"
        raise WillNotLoad(f"tensorflow: operations {', '.join(sorted(refused))}; {wants(allowed)}")


def _check_functions(graph: _Graph) -> None:
    """A function must not be defined twice, nor have the name of an operation."""
    from tensorflow.python.framework import op_def_registry

    for name, times in graph.names.items():
        if times > 1 or op_def_registry.get(name) is not None:
            raise WillNotLoad(f"tensorflow: function {name!r}; expected: each name once, and none of an operation")


def _allowed(node: Any, graph: _Graph, runs: bool) -> bool:
    tensors = [tensor for value in node.attr.values() for tensor in (value.tensor, *value.list.tensor)]
    if any(tensor.variant_val or tensor.resource_handle_val for tensor in tensors):
        return False  # it could hold a graph of its own, or something of another model
    return node.op in ALLOWED_OPERATIONS or node.op in graph.names or (node.op in _SAVER and not runs)


def _check_table(graph: _Graph, function: Any, node: Any, assets: PurePosixPath, manifest: Manifest) -> None:
    """Whether a table is read from a file of the bundle's assets, whose path TensorFlow itself passes to the
    function."""
    name = function.signature.name
    bound = graph.second and not graph.called[name] and name in graph.concrete
    asset = _captured_asset(graph, function, node) if bound else None
    if asset is None:
        raise WillNotLoad(f"tensorflow: {name} reads a table from a file; expected: from an asset of the bundle")
    check_path(asset, "tensorflow: asset")
    if (assets / asset).as_posix() not in manifest.files:
        raise WillNotLoad(f"tensorflow: asset {asset!r} is not in the bundle; expected: files in {assets}")


def _captured_asset(graph: _Graph, function: Any, node: Any) -> str | None:
    """The asset whose path is the node's second input, if that is an argument that the loader binds to an asset."""
    arguments = [argument.name for argument in function.signature.input_arg]
    bound = graph.concrete[function.signature.name].bound_inputs
    given = node.input[1] if len(node.input) > 1 else ""
    index = arguments.index(given) - (len(arguments) - len(bound)) if given in arguments else -1
    if not 0 <= index < len(bound) or not 0 <= bound[index] < len(graph.objects):
        return None
    found = graph.objects[bound[index]]
    if found.WhichOneof("kind") != "asset" or not 0 <= found.asset.asset_file_def_index < len(graph.assets):
        return None
    return str(graph.assets[found.asset.asset_file_def_index].filename)
