"""What a run compares: one thing differs in each pair, and every family is one question."""

from itertools import product

import polars as pl

from sibboleth.experiment.pairs import pairs

REGIMES = {"within": None, "zero-shot": None, "two-stage": None, "few-shot(1)": 1, "few-shot(8)": 8}


def cells(
    methods: tuple[str, ...] = ("linear", "lora", "full"), encoders: tuple[str, ...] = ("a", "b")
) -> pl.DataFrame:
    """Cells of two domains; `logmel` and a probe have no regime of two stages."""
    rows = []
    for encoder, method, regime in product((*encoders, "logmel"), methods, REGIMES):
        tuned = method != "linear"
        if (encoder == "logmel" and tuned) or (not tuned and regime not in ("within", "zero-shot")):
            continue
        for source, domain in (("x", "x"), ("y", "y")) if regime == "within" else (("x", "y"), ("y", "x")):
            rows.append(
                {
                    "run": f"{encoder}/{method}/{regime}/{source}>{domain}",
                    "encoder": encoder,
                    "control": encoder == "logmel",
                    "method": method,
                    "tuned": tuned,
                    "alignment": None,
                    "regime": regime,
                    "source": source,
                    "domain": domain,
                    "shots": REGIMES[regime],
                }
            )
    return pl.DataFrame(rows, schema_overrides={"alignment": pl.String, "shots": pl.Int32})


def families(table: pl.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """Pairs of runs by family."""
    found: dict[str, list[tuple[str, str]]] = {}
    for family, a, _, b, _ in pairs(table):
        found.setdefault(family, []).append((a, b))
    return found


def test_only_one_thing_differs_in_a_pair() -> None:
    table = cells()
    known = {row["run"]: row for row in table.to_dicts()}
    for family, *ab in pairs(table):
        a, b = known[ab[0]], known[ab[2]]
        differing = {name for name in ("encoder", "method", "regime") if a[name] != b[name]}
        assert a["domain"] == b["domain"]
        if family.startswith("methods against controls"):
            assert differing == {"encoder", "method"} and b["control"]
        else:
            assert len(differing) == 1
        if "regime" not in differing:
            assert a["source"] == b["source"] and family.endswith(f", {a['regime']}")


def test_stages_are_held_against_no_label_and_all_labels_of_the_target() -> None:
    found = families(cells())
    for family in ("two-stage against zero-shot", "two-stage against within", "few-shot(1) against zero-shot"):
        assert len(found[family]) == 2 * 2 * 2  # encoders, methods, pairs of domains
    assert ("a/lora/two-stage/x>y", "a/lora/within/y>y") in found["two-stage against within"]
    assert ("a/lora/few-shot(8)/x>y", "a/lora/zero-shot/x>y") in found["few-shot(8) against zero-shot"]
    assert not any(family.startswith("within against") for family in found)


def test_probe_and_control_come_second() -> None:
    found = families(cells())
    assert ("a/lora/within/x>x", "a/linear/within/x>x") in found["methods, within"]
    assert len(found["methods, within"]) == 2 * 2 * 3
    assert {b.split("/")[0] for a, b in found["encoders, within"] if "logmel" in a + b} == {"logmel"}
    assert {b.split("/")[0] for _, b in found["methods against controls, zero-shot"]} == {"logmel"}
    assert ("b/full/zero-shot/x>y", "logmel/linear/zero-shot/x>y") in found["methods against controls, zero-shot"]


def test_systems_are_compared_with_the_most_shots_alone() -> None:
    found = families(cells())
    assert "methods, few-shot(8)" in found and "encoders, few-shot(8)" in found
    assert "methods, few-shot(1)" not in found and "encoders, few-shot(1)" not in found


def test_probes_alone_are_compared_as_ever() -> None:
    assert set(families(cells(methods=("linear",)))) == {
        "zero-shot against within",
        "encoders, within",
        "encoders, zero-shot",
    }


def test_order_of_the_rows_changes_nothing() -> None:
    table = cells()
    assert pairs(table.reverse()) == pairs(table)
    assert len({pair[1:] for pair in pairs(table)}) == len(pairs(table))


def test_aligned_runs_are_left_aside() -> None:
    table = cells()
    aligned = table.filter(pl.col("regime") == "zero-shot").with_columns(
        alignment=pl.lit("coral"), run=pl.col("run") + " coral"
    )
    assert pairs(pl.concat([table, aligned])) == pairs(table)
