"""Workers that try rows, each in a world of its own.

SPDX-License-Identifier: Apache-2.0

The parent gives a worker one task at a time, a line with the ids of rows, and
reads lines of JSON: {"row": {...}} for each, {"done": true} for the task. So
nobody waits for the slowest. A worker's first line is {"ready": true}, or a
word of why there is no world. When either end goes, the world goes.
"""

import collections
import json
import os
import selectors
import subprocess
import sys
import time

import attack
import gate
import register
import rows
from world import lib

HERE = os.path.dirname(os.path.abspath(__file__))
TASK_S = 300     # longer than any row's own time-outs together
GATE = ("G17", "G18")

# ---- in a worker ----


def judged(complaints):
    """(verdict, reasons) of what attack.run_row() complained of."""
    kinds = {c.kind for c in complaints}
    reasons = [c.text for c in complaints if c.kind != "detail"]
    if not reasons:
        return "held", []
    for kind, verdict in (("leak", "got through"), ("broken", "unknown"),
                          ("wrong", "not held"), ("control", "unknown")):
        if kind in kinds:
            return verdict, reasons
    return "slow", reasons


def try_gate(world, name):
    """All attempts of one number by a front that was taken over."""
    if not os.access(os.environ.get("EXEAT_LIAR", ""), os.X_OK):
        return "unknown", ["the hostile front is not installed"]
    folder = world.folder("liars")
    reasons = []
    for row in gate.ROWS:
        for kind in row["kinds"] if gate.number(row) == name else ():
            wrong, _ = gate.try_row(world, row, kind, folder)
            reasons += [f"{kind} {row['name']}: {text}" for text in wrong]
    left = any(text.endswith("left the host") for text in reasons)
    verdict = "got through" if left else "not held" if reasons else "held"
    return verdict, reasons


def try_one(world, known, name):
    begin = time.monotonic()
    try:
        why = attack.untried(world, known[name]) if name in known else None
        if why:
            verdict, reasons = "unknown", [why]
        elif name in GATE:
            verdict, reasons = try_gate(world, name)
        else:
            verdict, reasons = judged(attack.run_row(world, known[name]))
    except Exception as e:  # the world's own failures, whatever they are
        verdict, reasons = "unknown", [f"{type(e).__name__}: {e}"]
    return {"id": name, "verdict": verdict, "reasons": reasons,
            "seconds": round(time.monotonic() - begin, 2)}


def work(world):
    """A worker's life, inside its world."""
    known = {r["id"]: r for g in rows.groups() for r in rows.load(g)}
    _say(ready=True)
    for line in sys.stdin:
        for name in line.split():
            _say(row=try_one(world, known, name))
        _say(done=True)
    return 0


def _say(**what):
    print(json.dumps(what), flush=True)


# ---- the parent ----


def tasks(wanted, kind):
    """(tasks, rows that make no sense for this caller): a task is what must
    be tried in one world one after the other, and the longest come first."""
    found, skipped = collections.OrderedDict(), {}
    for group in rows.groups():
        for row in rows.load(group):
            if row["id"] not in wanted:
                continue
            kinds = row.get("kinds", lib.KINDS)
            if kind not in kinds:
                skipped[row["id"]] = "callers: " + ", ".join(kinds)
                continue
            task = found.setdefault(row.get("work", row["id"]), [])
            task.append(row)
    lists = [[r["id"] for r in task] for task in
             sorted(found.values(), key=_length, reverse=True)]
    return [[g] for g in GATE if g in wanted] + lists, skipped


def _length(task):
    """A guess of how long a task takes."""
    return sum(row.get("prompt_ms", 0) +
               200 * len(row["try"]) * len(attack.postures(row))
               for row in task)


class Worker:
    """A process with a world; its task, if it has one."""

    def __init__(self, kind):
        env = {k: v for k, v in os.environ.items()
               if not k.startswith("PYTHON")}
        env["EXEAT_CALLERS"] = kind
        self.child = subprocess.Popen(
            [sys.executable, "-B", os.path.join(HERE, "selftest.py"),
             "--worker"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT, env=env, cwd="/")
        self.task = self.rest = None
        self.noise, self.pending = [], b""
        self.deadline = time.monotonic() + TASK_S

    def give(self, task):
        self.task, self.rest = task, list(task)
        self.deadline = time.monotonic() + TASK_S
        try:
            self.child.stdin.write(" ".join(task).encode() + b"\n")
            self.child.stdin.flush()
        except BrokenPipeError:
            pass  # its end of file tells

    def read(self):
        """What it says now, None at its end."""
        data = os.read(self.child.stdout.fileno(), 65536)
        lines = (self.pending + data).split(b"\n")
        self.pending = lines.pop()
        said = []
        for line in lines:
            try:
                word = json.loads(line)
            except ValueError:
                word = None
            if isinstance(word, dict):
                said.append(word)
            elif not line.startswith(b"#"):
                self.noise.append(line.decode("latin-1"))
        return said if data else None

    def end(self):
        self.child.stdin.close()
        self.child.kill()
        self.child.wait()
        self.child.stdout.close()


class Crew:
    """Runs tasks on some workers. report(row) is called for each row."""

    def __init__(self, kind, size, report):
        self.kind, self.report = kind, report
        self.selector = selectors.DefaultSelector()
        self.workers = []
        self.todo = collections.deque()
        self.why = ""           # why there is no world
        for _ in range(size):
            self._hire()

    def _hire(self):
        worker = Worker(self.kind)
        self.workers.append(worker)
        self.selector.register(worker.child.stdout, selectors.EVENT_READ,
                               worker)

    def run(self, todo):
        """To the end of all tasks, or of all workers."""
        self.todo.extend(todo)
        for worker in self.workers:
            if worker.task == []:
                self._next(worker)
        while self.workers and (self.todo or
                                any(w.task for w in self.workers)):
            for key, _ in self.selector.select(1.0):
                self._hear(key.data)
            for worker in list(self.workers):
                if worker.task != [] and time.monotonic() > worker.deadline:
                    self._lose(worker, "it took too long")
        while self.todo:
            for name in self.todo.popleft():
                self._unknown(name, self.why or "no world was left")

    def _next(self, worker):
        worker.task = []        # ready, and idle
        if self.todo:
            worker.give(self.todo.popleft())

    def _hear(self, worker):
        said = worker.read()
        if said is None:
            self._lose(worker, " ".join(worker.noise[-3:]) or "it ended")
            return
        for word in said:
            if "row" in word:
                worker.rest.remove(word["row"]["id"])
                self.report(word["row"])
            else:
                self._next(worker)

    def _lose(self, worker, why):
        self.selector.unregister(worker.child.stdout)
        self.workers.remove(worker)
        worker.end()
        if worker.task is None:
            self.why = why
        for name in worker.rest or ():
            self._unknown(name, why)

    def _unknown(self, name, why):
        self.report({"id": name, "verdict": "unknown", "reasons": [why],
                     "seconds": 0.0})

    def close(self):
        for worker in self.workers:
            worker.end()
        self.workers = []


def order(row_id):
    """Rows as the list of attacks has them."""
    name = register.number(row_id)
    return name[0], int(name[1:]), row_id
