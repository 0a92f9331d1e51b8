"""The first start: what this computer is, and on which drive the data is to live."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtWidgets import QButtonGroup, QDialog, QFileDialog, QRadioButton

from app.errors import NeuroWeaverError
from app.store.places import ROOMY, Drive, choose_home, drives
from ui.language import tr
from ui.theme import theme
from ui.widgets.buttons import Button
from ui.widgets.text import Label, column, row


class FirstStart(QDialog):
    """Accepted once a folder was chosen that can be written."""

    def __init__(self) -> None:
        super().__init__()
        self.setWindowTitle("NeuroWeaver")
        self.setMinimumWidth(560)
        self._drives = drives()
        self._group = QButtonGroup(self)
        places = column(gap=6)
        for number, drive in enumerate(self._drives):
            button = QRadioButton(drive_words(drive))
            button.setToolTip(str(drive.home))
            self._group.addButton(button, number)
            places.addWidget(button)
        self._group.button(recommended(self._drives)).setChecked(True)
        self._problem = Label("", "small", "danger", wrap=True)
        self._problem.hide()
        self.use = Button("Use this drive", "filled", clicked=lambda: self.take(self.chosen()))
        self.use.setDefault(True)
        self.setLayout(column(
            Label("Where may your data live?", "title"), 8,
            Label(f"{machine_words()} Everything is stored encrypted in one folder of this computer: datasets, models, runs. "
                  "Plan for 10 GB or more. There is no account, and no code that sends telemetry.", "body", "secondary", wrap=True), 16,
            places, 8, self._problem, 16,
            row(Button("Another folder", "outline", "folder-open", clicked=self._ask), None,
                Button("Not now", "quiet", clicked=self.reject), self.use), margins=(24, 20, 24, 20)))
        theme.dress(self)

    def chosen(self) -> Path:
        """The folder on the drive that is marked."""
        return self._drives[max(self._group.checkedId(), 0)].home

    def _ask(self) -> None:
        if folder := QFileDialog.getExistingDirectory(self, tr("Choose an empty folder")):
            self.take(Path(folder))

    def take(self, home: Path) -> None:
        """Use a folder, or say why it cannot be."""
        try:
            choose_home(home)
        except NeuroWeaverError as problem:
            self._problem.say(str(problem))
            self._problem.show()
            return
        self.accept()


def drive_words(drive: Drive) -> str:
    """"/data: 512 GB free of 1,000 GB"."""
    where = "Your data folder" if drive.standard else drive.mount
    return tr(f"{where}: {drive.free / 1e9:,.0f} GB free of {drive.total / 1e9:,.0f} GB")


def recommended(found: list[Drive]) -> int:
    """The standard place where it has room, else the roomiest drive."""
    if found[0].free >= ROOMY:
        return 0
    return max(range(len(found)), key=lambda number: found[number].free)


def machine_words() -> str:
    """What this computer is, in a sentence; the full verdict is on Home."""
    import psutil

    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    memory = psutil.virtual_memory().total / 1e9
    return f"This computer has {cores} processor core{'s' if cores != 1 else ''} and {memory:.0f} GB of memory."


def ask_home() -> bool:
    """Ask on the first start; False where the user put it off."""
    dialog = FirstStart()
    answer = dialog.exec()
    dialog.deleteLater()
    return answer == QDialog.DialogCode.Accepted
