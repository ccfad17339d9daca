from tests.console.conftest import PAGER, SHOP, Hookfuse, World


def test_each_installation_is_a_line(hookfuse: Hookfuse, world: World) -> None:
    rows = hookfuse("installations", "--json").json

    assert {PAGER, SHOP} <= {row["installation_id"] for row in rows}
    assert all(row["state"] in ("active", "disabled") for row in rows)


def test_they_are_listed_by_state_and_app(hookfuse: Hookfuse, world: World) -> None:
    everyone = hookfuse("installations", "--json").json

    active = hookfuse("installations", "--state", "active", "--json").json
    of_one_app = hookfuse("installations", "--app", str(everyone[0]["app_id"]), "--json").json

    assert active == [row for row in everyone if row["state"] == "active"]
    assert {row["app_id"] for row in of_one_app} == {everyone[0]["app_id"]}
    assert PAGER[:8] in hookfuse("installations").out
