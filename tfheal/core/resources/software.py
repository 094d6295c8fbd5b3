"""The software of a release, by the names that it has on a slice: what is known good stays there, what is damaged goes."""

from tfheal.core.resources import archive, npm, venv
from tfheal.core.resources.image import image_id
from tfheal.core.resources.tree import Tree, tree_id
from tfheal.model.release import Release
from tfheal.model.resources import Archive, Container, Npm, Resource, Venv


def software(release: Release) -> tuple[str, ...]:
    """Given a release, return the names of its software on the slice: folders in `releases/`, and tags of images."""
    folders = tuple(tree_id(tree.content) for tree in trees(release))
    return folders + tuple(image_id(container, folders) for container in containers(release))


def trees(release: Release) -> tuple[Tree, ...]:
    """Given a release, return its folders of software."""
    found = (_tree(resource, str(release.instance)) for resource in release.resources)
    return tuple(tree for tree in found if tree is not None)


def containers(release: Release) -> tuple[Container, ...]:
    """Given a release, return its containers."""
    return tuple(resource for resource in release.resources if isinstance(resource, Container))


def _tree(resource: Resource, where: str) -> Tree | None:
    match resource:
        case Venv():
            return venv.tree_of(resource)
        case Archive():
            return archive.tree_of(resource)
        case Npm():
            return npm.tree_of(resource, where)
        case _:
            return None
