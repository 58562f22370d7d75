"""Forms for the settings of the finders, and a chooser of files, as ipywidgets."""

import html
from pathlib import Path

import ipywidgets

from stemlib.workbench.finders import settings_of

_WIDE = {"description_width": "10em"}
_MOST_LISTED = 2000  # names in a folder


class Form(ipywidgets.VBox):
    """A field for each setting of a finder, at its default.

    Parameters
    ----------
    analysis : str
    """

    def __init__(self, analysis, **given):
        self.settings = {one.name: one for one in settings_of(analysis)}
        self.fields = {name: _field(one, given.get(name, one.default)) for name, one in self.settings.items()}
        rows = [
            ipywidgets.HBox([field, _explained(self.settings[name])]) for name, field in self.fields.items()
        ]
        super().__init__(rows)

    def values(self):
        """The settings that are not at their defaults, by name.

        Raises
        ------
        ValueError
            If a field holds no number where it must.
        """
        values = {name: _value(self.settings[name], field.value) for name, field in self.fields.items()}
        return {name: value for name, value in values.items() if value != self.settings[name].default}


def _field(setting, value):
    look = {"description": setting.name, "style": _WIDE, "layout": {"width": "24em"}}
    look |= {"tooltip": setting.what}
    if setting.kind == "choice":
        return ipywidgets.Dropdown(options=setting.choices, value=value, **look)
    if setting.kind == "bool":
        return ipywidgets.Checkbox(value=bool(value), indent=True, **look)
    placeholder = "default" if setting.default is None else str(setting.default)
    text = "" if value is None else str(value)
    return ipywidgets.Text(value=text, placeholder=placeholder, continuous_update=False, **look)


def _explained(setting):
    what = html.escape(setting.what.replace("``", ""), quote=False)
    return ipywidgets.HTML(f"<div style='opacity:0.7;line-height:1.4;padding-top:5px'>{what}</div>")


def _value(setting, value):
    """What a field holds, as the finder takes it; an empty one is at its default."""
    if setting.kind in ("choice", "bool"):
        return value
    text = str(value).strip()
    if not text or text == str(setting.default):
        return setting.default
    if setting.kind == "text":
        return text
    try:
        return int(text) if setting.kind == "int" else float(text.replace(",", "."))
    except ValueError:
        raise ValueError(
            f"{setting.name}={text!r} must be a {'whole ' * (setting.kind == 'int')}number"
        ) from None


class FileChooser(ipywidgets.VBox):
    """A list of a folder's files, from the user's home on, and the path of the one that is chosen.

    Parameters
    ----------
    folder : str or pathlib.Path, optional
        Where to begin.
    """

    def __init__(self, folder=None):
        self.path = ipywidgets.Text(
            placeholder="path of an image",
            description="image",
            continuous_update=False,
            layout={"width": "48em"},
        )
        self.list = ipywidgets.Select(rows=9, layout={"width": "48em"}, description="folder")
        super().__init__([self.list, self.path])
        self._show(Path.home() if folder is None else Path(folder))

    def _show(self, folder):
        """List a folder: its parent, its folders, its files."""
        self.folder = folder.resolve()
        try:
            there = [one for one in self.folder.iterdir() if not one.name.startswith(".")]
        except OSError:
            there = []
        there.sort(key=lambda one: (not one.is_dir(), one.name.lower()))
        options = [(f"{self.folder}/", None)]
        options += [("../", self.folder.parent)] if self.folder.parent != self.folder else []
        # A zspy is a folder to the file system and one image to a person.
        options += [
            (f"{one.name}/" if one.is_dir() and one.suffix != ".zspy" else one.name, one)
            for one in there[:_MOST_LISTED]
        ]
        self.list.unobserve_all("value")
        self.list.options = options
        self.list.value = options[0][1]
        self.list.observe(self._choose, "value")

    def _choose(self, change):
        chosen = change["new"]
        if chosen is None:
            return
        if chosen.is_dir() and chosen.suffix != ".zspy":
            self._show(chosen)
        else:
            self.path.value = str(chosen)
