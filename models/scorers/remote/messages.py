"""Protobuf messages of the two gRPC protocols, made from tables of their fields.

The published classes do not fit a worker: `tensorflow-serving-api` imports TensorFlow (5 s), and both
register their files in the one pool of the process, where they collide with TensorFlow's or a server's own.
These live in a pool of their own and have the same wire format; tests compare them with the published classes.
"""

from collections.abc import Mapping
from functools import cache
from typing import Any

# Message → field number → "type name": a scalar, a message of the table, `repeated` or `map` of them.
Table = Mapping[str, Mapping[int, str]]

TFSERVING: Table = {
    "Int64Value": {1: "int64 value"},
    "ModelSpec": {1: "string name", 2: "Int64Value version", 3: "string signature_name"},
    "Dim": {1: "int64 size", 2: "string name"},
    "TensorShapeProto": {2: "repeated Dim dim", 3: "bool unknown_rank"},
    # `dtype` is an enumeration, which is an int32 on the wire.
    "TensorProto": {
        1: "int32 dtype",
        2: "TensorShapeProto tensor_shape",
        4: "bytes tensor_content",
        5: "repeated float float_val",
        6: "repeated double double_val",
        7: "repeated int32 int_val",
        8: "repeated bytes string_val",
        10: "repeated int64 int64_val",
        11: "repeated bool bool_val",
    },
    "PredictRequest": {1: "ModelSpec model_spec", 2: "map TensorProto inputs", 3: "repeated string output_filter"},
    "PredictResponse": {1: "map TensorProto outputs", 2: "ModelSpec model_spec"},
    "StatusProto": {1: "int32 error_code", 2: "string error_message"},
    "ModelVersionStatus": {1: "int64 version", 2: "int32 state", 3: "StatusProto status"},
    "GetModelStatusRequest": {1: "ModelSpec model_spec"},
    "GetModelStatusResponse": {1: "repeated ModelVersionStatus model_version_status"},
}

OPENINFERENCE: Table = {
    "InferTensorContents": {
        1: "repeated bool bool_contents",
        2: "repeated int32 int_contents",
        3: "repeated int64 int64_contents",
        4: "repeated uint32 uint_contents",
        5: "repeated uint64 uint64_contents",
        6: "repeated float fp32_contents",
        7: "repeated double fp64_contents",
        8: "repeated bytes bytes_contents",
    },
    "InferInputTensor": {
        1: "string name",
        2: "string datatype",
        3: "repeated int64 shape",
        5: "InferTensorContents contents",
    },
    "InferRequestedOutputTensor": {1: "string name"},
    "ModelInferRequest": {
        1: "string model_name",
        2: "string model_version",
        3: "string id",
        5: "repeated InferInputTensor inputs",
        6: "repeated InferRequestedOutputTensor outputs",
    },
    "InferOutputTensor": {
        1: "string name",
        2: "string datatype",
        3: "repeated int64 shape",
        5: "InferTensorContents contents",
    },
    "ModelInferResponse": {
        1: "string model_name",
        2: "string model_version",
        3: "string id",
        5: "repeated InferOutputTensor outputs",
        6: "repeated bytes raw_output_contents",
    },
    "ModelMetadataRequest": {1: "string name", 2: "string version"},
    "TensorMetadata": {1: "string name", 2: "string datatype", 3: "repeated int64 shape"},
    "ModelMetadataResponse": {
        1: "string name",
        2: "repeated string versions",
        3: "string platform",
        4: "repeated TensorMetadata inputs",
        5: "repeated TensorMetadata outputs",
    },
    "ModelReadyRequest": {1: "string name", 2: "string version"},
    "ModelReadyResponse": {1: "bool ready"},
}

_TABLES = {"tfserving": TFSERVING, "openinference": OPENINFERENCE}


@cache
def messages(protocol: str) -> Mapping[str, Any]:
    """The message classes of `tfserving` or `openinference` by name."""
    return made_of(protocol, _TABLES[protocol])


def made_of(name: str, table: Table) -> Mapping[str, Any]:
    """The message classes of a table by name, in a pool of their own; fields not in the table are skipped."""
    from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

    package = f"halflife.{name}"
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    for kind, fields in table.items():
        message = file.message_type.add(name=kind)
        for number, text in fields.items():
            _add_field(message, number, text, f".{package}")
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return {kind: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{kind}")) for kind in table}


def _add_field(message: Any, number: int, text: str, package: str) -> None:
    *labels, kind, name = text.split()
    field = message.field.add(name=name, number=number)
    field.label = field.LABEL_REPEATED if labels else field.LABEL_OPTIONAL
    if "map" in labels:
        entry = message.nested_type.add(name=f"{name.title()}Entry")
        entry.options.map_entry = True
        _add_field(entry, 1, "string key", package)
        _add_field(entry, 2, f"{kind} value", package)
        field.type, field.type_name = field.TYPE_MESSAGE, f"{package}.{message.name}.{entry.name}"
    elif kind[0].isupper():
        field.type, field.type_name = field.TYPE_MESSAGE, f"{package}.{kind}"
    else:
        field.type = getattr(field, f"TYPE_{kind.upper()}")
