"""Medians and ratios of the rounds, as a table and as JSON."""
import statistics

REFERENCES = ("nginx", "haproxy", "h2o")  # the best of these is 1.00


def numbers(rounds, key):
    return [r[key] for r in rounds if isinstance(r.get(key), (int, float))]


def summarize(scenario, rounds):
    """{peer: figures} of one scenario; `rounds` is a list of {"peer", "round", figures or "error"}."""
    metric = scenario.columns[0][0]
    good = {}
    for r in rounds:
        if "error" not in r:
            good.setdefault(r["peer"], []).append(r)
    summary = {}
    for peer in dict.fromkeys(r["peer"] for r in rounds):
        mine = good.get(peer, [])
        errors = [r["error"] for r in rounds if r["peer"] == peer and "error" in r]
        summary[peer] = {"rounds": len(mine), "rounds_failed": len(errors), "errors": errors}
        if not mine:
            continue
        values = numbers(mine, metric)
        summary[peer].update(
            {"median": statistics.median(values), "min": min(values), "max": max(values),
             "medians": {key: statistics.median(numbers(mine, key)) for key in mine[0]
                         if key != "round" and numbers(mine, key)}})
    best = min((p for p in summary if p in REFERENCES and "median" in summary[p]),
               key=lambda p: summary[p]["median"], default=None)
    if scenario.compared and best:
        add_ratios(summary, good, best, metric)
    return {"title": scenario.title, "metric": metric, "best_peer": best if scenario.compared else None,
            "rounds": rounds, "peers": summary}


def add_ratios(summary, good, best, metric):
    """`ratio` compares medians; `round_ratio` is the median over the rounds of both in the same round."""
    best_by_round = {r["round"]: r[metric] for r in good[best]}
    for peer, s in summary.items():
        if "median" not in s or not s["median"] or not summary[best]["median"]:
            continue
        s["ratio"] = s["median"] / summary[best]["median"]
        pairs = [r[metric] / best_by_round[r["round"]] for r in good[peer] if best_by_round.get(r["round"])]
        if pairs:
            s["round_ratio"] = statistics.median(pairs)


def cells_of(scenario, result, peer, last):
    s = result["peers"][peer]
    _, _, first_format = scenario.columns[0]
    cells = [peer, format(s["median"], first_format)]
    if scenario.compared:
        cells += [format(s["min"], first_format), format(s["max"], first_format)]
        cells += [format(s[key], ".2f") if key in s else "-" for key in ("ratio", "round_ratio")]
    for key, _, how in scenario.columns[1:]:
        value = s["medians"].get(key, last.get(key, "-"))
        cells.append(format(value, how) if how and not isinstance(value, str) else str(value))
    return cells


def table(scenario, result):
    """The lines of one scenario's table."""
    heading = ["", scenario.columns[0][1]]
    heading += ["min", "max", "ratio", "by round"] if scenario.compared else []
    heading += [title for _, title, _ in scenario.columns[1:]]
    rows, notes = [heading], []
    for peer, s in result["peers"].items():
        good = [r for r in result["rounds"] if r["peer"] == peer and "error" not in r]
        if good:
            rows.append(cells_of(scenario, result, peer, good[-1]))
        if s["errors"]:
            notes.append(f"  {peer}: {s['rounds_failed']} of {s['rounds_failed'] + s['rounds']} rounds failed: "
                         f"{s['errors'][0]}")
        notes += [f"  {peer}: the first failed request: {r['first_failure']}" for r in good if r.get("first_failure")]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heading))]
    lines = [scenario.title]
    for row in rows:
        cells = [f"{cell:<{w}}" if i == 0 or (i == len(row) - 1 and not cell[:1].isdigit()) else f"{cell:>{w}}"
                 for i, (cell, w) in enumerate(zip(row, widths))]
        lines.append(("  " + "  ".join(cells)).rstrip())
    return lines + notes


def heading(report):
    m = report["machine"]
    peers = [f"{name} {p['version']}" if "version" in p else f"{name} left out: {p['left_out']}"
             for name, p in report["peers"].items()]
    return [f"{m['cpu']}, {m['cpus']} CPUs, Linux {m['kernel']}, OpenSSL {m['openssl']}, load {m['load_average']:.1f}",
            f"proxy on CPU {m['proxy_cpu']}, origin and generator on {', '.join(map(str, m['load_cpus']))}",
            *peers]
