"""One image, every finder, no code: choose a file, set, find, correct, write; the result is a variable."""

import html
import time
import warnings
from pathlib import Path

import ipywidgets
from IPython.display import display

from stemlib.io.micrograph import as_micrograph, read
from stemlib.workbench.finders import ANALYSES, find, simulated
from stemlib.workbench.forms import FileChooser, Form
from stemlib.workbench.subjects import can_be_edited
from stemlib.workbench.written import write_result

_EXPECTED = (ValueError, TypeError, OSError)  # what a finder says of an image or a setting that is no good


class Explorer(ipywidgets.VBox):
    """Every finder on one image by forms.

    Parameters
    ----------
    image : path, optional
        The first image; a simulated one for the analysis where there is none.
    analysis : {"loops", "columns", "lattice", "defects", "domains"}
        The form in front; it runs at once.
    settings : dict, optional
        Of its finder, ``pixel_size_nm`` among them.
    output_folder : str or pathlib.Path
        Where "write files" writes.
    seed : int
        Of the simulated image.

    Attributes
    ----------
    result : Loops, Columns, Lattice, Defects, Domains or None
        What was found last, corrected by hand where it was.

    Raises
    ------
    ValueError, TypeError, FileNotFoundError
        If the image or a setting that is given here is no good; what is chosen in the forms later is said there.
    """

    def __init__(
        self, image=None, *, analysis="loops", settings=None, output_folder="stemlib-results", seed=0
    ):
        self._found, self._editor, self._seed = None, None, seed
        given = dict(settings or {})
        self._build(analysis, given, output_folder)
        if image is None:
            self._source.value = "simulated"
        else:
            self.chooser.path.value = str(image)
            self._source.value = "file"
        found = find(analysis, self._micrograph(analysis), **given)
        self._show(found)

    @property
    def result(self):
        """What was found last, corrected by hand where it was."""
        return self._found if self._editor is None else self._editor.result

    @property
    def analysis(self):
        """The form in front."""
        return ANALYSES[self._tabs.selected_index]

    def _build(self, analysis, given, output_folder):
        self._source = ipywidgets.ToggleButtons(
            options=[("simulated image", "simulated"), ("file of mine", "file")], description="image"
        )
        self.chooser = FileChooser()
        text = {"continuous_update": False, "style": {"description_width": "10em"}}
        self._select = ipywidgets.Text(description="which image of it", placeholder="number or name", **text)
        self._channel = ipywidgets.Dropdown(
            options=[("as it is", None), *((one, one) for one in ("red", "green", "blue"))],
            description="channel",
            style=text["style"],
        )
        size = given.get("pixel_size_nm")
        self._size = ipywidgets.Text(
            value="" if size is None else str(size),
            description="nm per pixel",
            placeholder="as the file says",
            **text,
        )
        self._file = ipywidgets.VBox([self.chooser, ipywidgets.HBox([self._select, self._channel])])
        self._source.observe(lambda change: self._show_source(), "value")
        forms = {one: Form(one, **(given if one == analysis else {})) for one in ANALYSES}
        self.forms = forms
        self._tabs = ipywidgets.Tab(
            list(forms.values()), titles=ANALYSES, selected_index=ANALYSES.index(analysis)
        )
        self.find_button = _button("Find", "primary", self._find)
        self.edit_button = _button("Correct by hand", "", self._edit)
        self.write_button = _button("Write files", "", self._write)
        self._folder = ipywidgets.Text(value=str(output_folder), description="into folder")
        self.said = ipywidgets.HTML()
        self.shown, self.edited = ipywidgets.Output(), ipywidgets.VBox()
        steps = ipywidgets.HBox([self.find_button, self.edit_button, self.write_button, self._folder])
        super().__init__(
            [self._source, self._file, self._size, self._tabs, steps, self.said, self.shown, self.edited]
        )
        self._show_source()

    def _show_source(self):
        self._file.layout.display = "" if self._source.value == "file" else "none"

    def _micrograph(self, analysis):
        if self._source.value == "simulated":
            return simulated(analysis, self._seed)
        if not self.chooser.path.value.strip():
            raise ValueError("no image is chosen; choose a file above, or the simulated image")
        path = Path(self.chooser.path.value.strip()).expanduser()
        select = self._select.value.strip() or None
        select = int(select) if select is not None and select.lstrip("-").isdigit() else select
        return read(path, select=select, channel=self._channel.value)

    def _pixel_size(self):
        text = self._size.value.strip().replace(",", ".")
        try:
            return {"pixel_size_nm": float(text)} if text else {}
        except ValueError:
            raise ValueError(f"nm per pixel: {text!r} must be a number") from None

    def _find(self):
        analysis, began = self.analysis, time.monotonic()
        settings = self.forms[analysis].values() | self._pixel_size()
        micrograph = as_micrograph(self._micrograph(analysis))
        self._say(f"finding {analysis} in {micrograph} …")
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", UserWarning)
            found = find(analysis, micrograph, **settings)
        said = [f"Warning: {one.message}" for one in caught if issubclass(one.category, UserWarning)]
        self._show(found, *said, f"found in {time.monotonic() - began:.1f} s")

    def _show(self, found, *said):
        self._found, self._editor = found, None
        self.edited.children = []
        self.shown.outputs = ()
        self.shown.append_display_data(found)
        self.edit_button.disabled = not can_be_edited(found)
        self._say(*said)

    def _edit(self):
        self._editor = self._found.edit()
        self.edited.children = [self._editor.widget]
        where = self._editor.path or "nowhere, as the image came from no file: write files when you are done"
        self._say(f"corrections are saved in {where}; `result` and the files that are written follow them")

    def _write(self):
        result = self.result
        source = result.view.micrograph.metadata.get("path")
        name = Path(source).stem if source else "simulated"
        paths = write_result(
            result, Path(self._folder.value).expanduser(), name, **self.forms[self.analysis].values()
        )
        self._say("written: " + ", ".join(str(path) for path in paths))

    def _say(self, *texts, is_error=False):
        colour = "color:#b40000" if is_error else ""
        self.said.value = "".join(f"<div style='{colour}'>{html.escape(text)}</div>" for text in texts)


def _button(text, style, act):
    """A button that says in one sentence what went wrong, and cannot be pressed while it works."""
    button = ipywidgets.Button(description=text, button_style=style)

    def press(_):
        owner = act.__self__
        button.disabled = True
        try:
            act()
        except _EXPECTED as error:
            owner._say(str(error), is_error=True)
        finally:
            button.disabled = False

    button.on_click(press)
    return button


def explore(image=None, **options):
    """Show an `Explorer` and return it.

    Parameters
    ----------
    image : path, optional
        The first image; a simulated one where there is none.
    **options
        As `Explorer` takes them.

    Returns
    -------
    Explorer
        ``explorer.result`` is what was found last.
    """
    explorer = Explorer(image, **options)
    display(explorer)
    return explorer
