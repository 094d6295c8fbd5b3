"""A workspace in words: what `init` made and what to do next, what `validate` found in order."""

from collections.abc import Iterable, Mapping

from tfheal.model.workspace import Workspace

_NEXT = """\
next:
  tfheal lab up                                   slices on this machine, to try it
  tfheal slice add NAME --owner OWNER ADDRESS     or a slice that you have
  tfheal explain app                              how to write apps/NAME.yaml
  tfheal validate                                 whether all of it fits together"""


def init_document(folder: str, made: Iterable[str], kept: Iterable[str], key: str) -> dict[str, object]:
    """Return what `init` did, as scripts read it."""
    return {"folder": folder, "made": list(made), "kept": list(kept), "age_key": key}


def init_words(document: Mapping[str, object]) -> str:
    """Given the document of `init`, return it in words, with what to do next."""
    made, kept = _listed(document["made"]), _listed(document["kept"])
    lines = [f"workspace {document['folder']}"]
    lines += [f"  made           {made}"] if made else []
    lines += [f"  there already  {kept}"] if kept else []
    lines += [f"  age key        {document['age_key']} (secrets are encrypted to it: keep a copy in a safe place)"]
    return "\n".join([*lines, "", _NEXT])


def validate_document(workspace: Workspace) -> dict[str, object]:
    """Given a valid workspace, return what is in it, as scripts read it."""
    return {
        "workspace": workspace.root,
        "owners": sorted(workspace.inventory.owners),
        "slices": sorted(workspace.inventory.slices),
        "apps": sorted(workspace.apps),
        "playbooks": sorted(workspace.playbooks),
        "mistakes": [],
    }


def validate_words(workspace: Workspace) -> str:
    """Given a valid workspace, return in words that it is."""
    counts = {
        "owner": len(workspace.inventory.owners),
        "slice": len(workspace.inventory.slices),
        "app": len(workspace.apps),
        "playbook": len(workspace.playbooks),
    }
    said = ", ".join(f"{count} {word}{'' if count == 1 else 's'}" for word, count in counts.items())
    return f"valid: {said}"


def _listed(paths: object) -> str:
    return ", ".join(str(path) for path in paths) if isinstance(paths, list) else ""
