"""Steps back and forth between states that are never changed."""

from dataclasses import dataclass

from stemlib.workbench.marks import State


@dataclass(frozen=True)
class History:
    """A state, those before it and those that were undone.

    Parameters
    ----------
    state : State
    past, future : tuple of State
        The last ones last.

    Examples
    --------
    >>> history = History(State({}, 0.5)).with_step(State({}, 0.7))
    >>> history.undone().state.threshold, history.undone().redone().state.threshold
    (0.5, 0.7)
    """

    state: State
    past: tuple[State, ...] = ()
    future: tuple[State, ...] = ()

    def with_step(self, state):
        """The history with one more step; itself where nothing changes."""
        return self if state == self.state else History(state, (*self.past, self.state))

    def undone(self):
        """The history before the last step; itself where there is none."""
        return History(self.past[-1], self.past[:-1], (*self.future, self.state)) if self.past else self

    def redone(self):
        """The history after the step that was undone last; itself where there is none."""
        return History(self.future[-1], (*self.past, self.state), self.future[:-1]) if self.future else self
