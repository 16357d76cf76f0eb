"""A strict version of the schema of a Kubernetes CRD.

Keys that the schema does not name are refused, unless it says that it keeps unknown ones.
"""

from pathlib import Path
from typing import Any

import yaml


def strict_schema(path: Path, version: str = "v1") -> dict[str, Any]:
    """Return the JSON schema of a CRD's version, strict below `spec`."""
    versions = yaml.load(path.read_text(), getattr(yaml, "CSafeLoader", yaml.SafeLoader))["spec"]["versions"]
    schema = next(one for one in versions if one["name"] == version)["schema"]["openAPIV3Schema"]
    return {
        "type": "object",
        "properties": {"spec": strict(schema["properties"]["spec"])},
        "required": ["apiVersion", "kind", "metadata", "spec"],
    }


def strict(schema: Any) -> Any:
    """Return schema with additional properties refused wherever it lists some."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    # Below "properties", keys are names of settings and not words of the schema.
    made = {
        key: {name: strict(value) for name, value in part.items()} if key == "properties" else strict(part)
        for key, part in schema.items()
    }
    if (
        "properties" in made
        and "additionalProperties" not in made
        and not made.get("x-kubernetes-preserve-unknown-fields")
    ):
        made["additionalProperties"] = False
    return made
