"""The flow as a Huey task on SQLite; the counts and the request log are in Redis."""

from huey import SqliteHuey

from benchmarks.peers.backlog import fill_from_command_line
from benchmarks.peers.flow import deliver, work_folder

huey = SqliteHuey("benchmark", filename=f"{work_folder()}/huey.db", results=False)
task = huey.task(name="deliver")(deliver)

if __name__ == "__main__":
    fill_from_command_line(task)
