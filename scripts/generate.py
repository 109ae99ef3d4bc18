"""Generate the Python code of the contracts in `proto/` into `src/madang/v1`, `madang/bus/v1` and `madang/classic`.

    python scripts/generate.py           write the generated code
    python scripts/generate.py --check   fail when what is committed differs from what would be written
    python scripts/generate.py --image F only write a buf image of madang.v1 to the file F (for lint and breaking
    checks)

`buf/validate/validate.proto` is not published as a file in any Python package; its descriptor is in protovalidate, and
protoc takes descriptors as well as files. Its generated module is kept under `madang.v1` so that we never claim the
top-level name `buf`.
"""

from __future__ import annotations

import argparse
import filecmp
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, duration_pb2, timestamp_pb2
from google.protobuf.descriptor_pool import Default
from google.rpc import status_pb2
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
OUT = ROOT / "src" / "madang"
VALIDATE = "buf/validate/validate.proto"

IMPORT_REWRITES = (
    ("from buf.validate import", "from madang.v1.buf.validate import"),
    ("import buf.validate.validate_pb2", "import madang.v1.buf.validate.validate_pb2"),
    ("buf.validate.validate_pb2.", "madang.v1.buf.validate.validate_pb2."),
    ("import client_to_agent_pb2 as", "from madang.classic import client_to_agent_pb2 as"),
    ("import client_to_agent_pb2\n", "from madang.classic import client_to_agent_pb2\n"),
)


def foreign_descriptors(target: Path) -> None:
    """Write the descriptors of every file that ours import, in dependency order."""
    files = descriptor_pb2.FileDescriptorSet()
    for name in (
        descriptor_pb2.DESCRIPTOR.name,
        duration_pb2.DESCRIPTOR.name,
        timestamp_pb2.DESCRIPTOR.name,
        "google/protobuf/any.proto",
        status_pb2.DESCRIPTOR.name,
    ):
        Default().FindFileByName(name).CopyToProto(files.file.add())
    files.file.add().ParseFromString(validate_pb._DESC.proto.to_binary())
    target.write_bytes(files.SerializeToString())


def protoc(*arguments: str) -> None:
    """Run protoc with this environment's own plugins: they need not be on the caller's PATH."""
    scripts = Path(sysconfig.get_path("scripts"))
    plugins = [f"--plugin={name}={scripts / name}" for name in ("protoc-gen-mypy", "protoc-gen-mypy_grpc")]
    done = subprocess.run(
        [sys.executable, "-m", "grpc_tools.protoc", *plugins, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(done.stderr)


def generate(out: Path, scratch: Path) -> None:
    """Generate everything below `out`, laid out as `src/madang` is."""
    foreign = scratch / "foreign.binpb"
    foreign_descriptors(foreign)
    raw = scratch / "raw"
    raw.mkdir()
    contract = sorted(str(p.relative_to(PROTO)) for p in (PROTO / "madang").rglob("*.proto"))
    services = [name for name in contract if name.endswith("_service.proto")]
    common = [f"--descriptor_set_in={foreign}", f"-I{PROTO}"]
    protoc(*common, f"--python_out={raw}", f"--mypy_out={raw}", *contract, VALIDATE)
    protoc(*common, f"--grpc_python_out={raw}", f"--mypy_grpc_out=async_only:{raw}", *services)
    protoc(
        f"-I{PROTO / 'classic'}",
        f"--python_out={raw}",
        f"--mypy_out={raw}",
        f"--grpc_python_out={raw}",
        f"--mypy_grpc_out=async_only:{raw}",
        "client_to_agent.proto",
    )
    for source in sorted(p for p in raw.rglob("*") if p.is_file()):
        relative = source.relative_to(raw)
        if relative.parts[0] == "madang":
            target = out / Path(*relative.parts[1:])
        elif relative.parts[0] == "buf":
            target = out / "v1" / relative
        else:
            target = out / "classic" / relative
        text = source.read_text()
        for old, new in IMPORT_REWRITES:
            text = text.replace(old, new)
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    for package, what in (
        ("v1", "The generated code of the contract `madang.v1`; `proto/madang/v1` says what it means."),
        ("bus/v1", "The generated code of what nodes tell each other, `proto/madang/bus/v1`."),
        ("v1/buf", "The generated code of a contract that ours imports."),
        ("v1/buf/validate", "The generated code of protovalidate's rules."),
        ("classic", "The generated code of the classic contract, `proto/classic/client_to_agent.proto`."),
    ):
        (out / package / "__init__.py").write_text(f'"""{what}"""\n')


def write_image(target: Path, scratch: Path) -> None:
    """Write our own files of `madang.v1`, with their imports, as a buf image."""
    foreign = scratch / "foreign.binpb"
    foreign_descriptors(foreign)
    contract = sorted(str(p.relative_to(PROTO)) for p in (PROTO / "madang").rglob("*.proto"))
    protoc(
        f"--descriptor_set_in={foreign}",
        f"-I{PROTO}",
        "--include_imports",
        "--include_source_info",
        f"--descriptor_set_out={target}",
        *contract,
    )
    mark_imports(target)


def mark_imports(image: Path) -> None:
    """Mark the files that are not ours as imports, so that buf does not judge them.

    A buf image is a FileDescriptorSet whose files carry field 8042, `buf.alpha.image.v1.ImageFileExtension`;
    its field 1 is `is_import`.
    """
    files = descriptor_pb2.FileDescriptorSet.FromString(image.read_bytes())
    extension = bytes([0xD2, 0xF6, 0x03, 0x02, 0x08, 0x01])  # field 8042, 2 bytes: {1: true}
    for file in files.file:
        if not file.name.startswith("madang/"):
            file.MergeFromString(extension)
    image.write_bytes(files.SerializeToString())


def differences(fresh: Path, committed: Path) -> list[str]:
    """Name the generated files that are missing, too many, or not what would be written."""
    found = []
    wanted = {p.relative_to(fresh) for p in fresh.rglob("*") if p.is_file()}
    present = {
        p.relative_to(committed)
        for package in ("v1", "bus/v1", "classic")
        for p in (committed / package).rglob("*")
        if p.is_file() and "__pycache__" not in p.parts
    }
    for path in sorted(wanted ^ present):
        found.append(f"{path}: {'missing' if path in wanted else 'not generated any more'}")
    for path in sorted(wanted & present):
        if not filecmp.cmp(fresh / path, committed / path, shallow=False):
            found.append(f"{path}: differs")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--image", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        if options.image:
            write_image(options.image.resolve(), scratch)
            return 0
        if not options.check:
            generate(OUT, scratch)
            return 0
        fresh = scratch / "fresh"
        generate(fresh, scratch)
        found = differences(fresh, OUT)
    for line in found:
        print(f"generated code: {line}", file=sys.stderr)
    if found:
        print("generated code: run `make generate` and commit the result", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
