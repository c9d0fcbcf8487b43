"""The command line: parse and delegate. Exit 0: as expected; 1: not; 2: a mistake of the user's."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hzbench.core.errors import HzbenchError, UserMistakeError
from hzbench.core.machine import threads
from hzbench.problems.folder import use_folder

app = typer.Typer(
    name="hzbench",
    help="Does an optimizer do what its theory says, and with which error rate do we know?",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
OUT = Path("hzbench-out")
_NO_ROOM = ("failed to map segment", "annot allocate memory", "find/load shared object")
"""How the loader, and llvmlite, say that a library did not fit a limit of memory."""
_NO_NUMBERS = ("pilot", "data", "as_json", "figure", "server")

Target = Annotated[str, typer.Argument(help="A suite (hzbench list suite) or a TOML file.")]
Out = Annotated[Path, typer.Option(help="Folder for runs, results and the report.")]
Device = Annotated[str, typer.Option(help="auto, cpu or cuda.")]
Workers = Annotated[
    int, typer.Option(min=0, help="Processes; 0: one a core, or one on a GPU. Results are equal.")
]
Engine = Annotated[str, typer.Option(help="auto, torch or fused. Results agree to rounding.")]
Set = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set a dotted key of every run; repeatable."),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
Data = Annotated[
    Path | None, typer.Option(help="Folder of data files (list data). [$HZBENCH_DATA]")
]
Fresh = Annotated[bool, typer.Option("--fresh", help="Ignore what the store holds.")]


@app.command()
def run(
    target: Target,
    out: Out = OUT,
    device: Device = "auto",
    workers: Workers = 0,
    engine: Engine = "auto",
    scale: Annotated[float, typer.Option(help="Fraction of steps and seeds, up to 1.")] = 1.0,
    set_: Set = None,
    data: Data = None,
    as_json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Run a suite or a spec, judge it, and write results.json and report.html."""
    from hzbench.commands import run as command

    use_folder(data)
    met = command.run(
        target,
        out,
        device,
        workers,
        scale,
        settings=set_ or (),
        engine=engine,
        as_json=as_json,
        fresh=fresh,
    )
    raise typer.Exit(0 if met else 1)


@app.command()
def predict(target: Target, data: Data = None, as_json: Json = False) -> None:
    """Print what theory says of a spec at every record point; runs nothing."""
    from hzbench.commands import predict as command

    use_folder(data)
    command.predict(target, as_json=as_json)


@app.command()
def mutants(
    target: Target,
    out: Out = OUT,
    device: Device = "auto",
    workers: Workers = 0,
    power: Annotated[bool, typer.Option("--power", help="Repeat, to measure power.")] = False,
    repetitions: Annotated[int, typer.Option(min=1, help="Seeds a check, with --power.")] = 59,
    data: Data = None,
    as_json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Plant every mutant that the suite names and see whether its checks find it."""
    from hzbench.commands import mutants as command

    use_folder(data)
    times = repetitions if power else 0
    found = command.mutants(
        target, out, device, workers, as_json=as_json, fresh=fresh, repetitions=times
    )
    raise typer.Exit(0 if found else 1)


@app.command()
def contest(
    target: Annotated[str, typer.Argument(help="A contest (async-contest) or a TOML file.")],
    out: Out = OUT,
    workers: Workers = 0,
    data: Data = None,
    as_json: Json = False,
    fresh: Fresh = False,
) -> None:
    """Tune server methods with one budget each and compare their seconds to a target."""
    from hzbench.commands import contest as command

    use_folder(data)
    tuned = command.contest(target, out, workers, as_json=as_json, fresh=fresh)
    raise typer.Exit(0 if tuned else 1)


@app.command()
def calibrate(
    target: Target,
    out: Out = OUT,
    workers: Workers = 0,
    checks: Annotated[int, typer.Option(min=1, help="Representative checks.")] = 12,
    blocks: Annotated[int, typer.Option(min=1, help="Fresh blocks of 1024 replicas.")] = 200,
    resamples: Annotated[int, typer.Option(min=1, help="Resampled blocks a check.")] = 100_000,
    data: Data = None,
    as_json: Json = False,
) -> None:
    """Measure how often the checks of a suite reject what is true."""
    from hzbench.commands import calibrate as command
    from hzbench.harness.calibration import Amount

    use_folder(data)
    amount = Amount(checks=checks, blocks=blocks, resamples=resamples)
    kept = command.calibrate(target, out, workers, amount, as_json=as_json)
    raise typer.Exit(0 if kept else 1)


@app.command()
def advise(
    first: Annotated[int | None, typer.Option(help="n1, first-order nodes.")] = None,
    zeroth: Annotated[int | None, typer.Option(help="n0, zeroth-order nodes to hand.")] = None,
    dimension: Annotated[int | None, typer.Option(help="d.")] = None,
    pilot: Annotated[Path | None, typer.Option(help="Take these, and noise, from a spec.")] = None,
    noise: Annotated[float | None, typer.Option(help="Noise of a gradient, s1 = tr Σ. [1]")] = None,
    ratio: Annotated[float | None, typer.Option(help="s0/s1 of one random vector. [ω]")] = None,
    shared: Annotated[float | None, typer.Option(help="Part of it that stays. [1]")] = None,
    directions: Annotated[str | None, typer.Option(help="Law of the vectors. [sphere]")] = None,
    difference: Annotated[str | None, typer.Option(help="Which difference. [central]")] = None,
    samples: Annotated[str | None, typer.Option(help="Candidates m. [1,2,4,8,16]")] = None,
    gradient_cost: Annotated[float | None, typer.Option(help="Time of a gradient. [3]")] = None,
    function_cost: Annotated[float | None, typer.Option(help="Of a function value. [1]")] = None,
    smoothness: Annotated[float | None, typer.Option(help="L. [1]")] = None,
    strong_convexity: Annotated[float | None, typer.Option(help="μ. [0.1]")] = None,
    target: Annotated[float | None, typer.Option(help="Floor to reach. [0.01]")] = None,
    server: Annotated[bool, typer.Option("--server", help="A pool; target is E|∇f|².")] = False,
    heterogeneity: Annotated[float | None, typer.Option(help="ζ², for --server. [0]")] = None,
    data: Data = None,
    as_json: Json = False,
    figure: Annotated[Path | None, typer.Option(help="Draw floors against n0 (SVG).")] = None,
) -> None:
    """Should zeroth-order nodes join, and how: random vectors, step sizes, floor, speed-up."""
    given = {k: v for k, v in locals().items() if k not in _NO_NUMBERS}
    from hzbench.commands import advise as command

    use_folder(data)
    command.answer(pilot, given, as_json=as_json, figure=figure, server=server)


@app.command("list")
def list_(
    kind: Annotated[str | None, typer.Argument(help="problem, graph, theorem, suite, ...")] = None,
    as_json: Json = False,
) -> None:
    """List the kinds of component, or all of one kind."""
    from hzbench.commands import catalogue

    catalogue.list_kind(kind, as_json=as_json)


@app.command()
def show(
    name: Annotated[str, typer.Argument(help="Name of a component, theorem, mutant or suite.")],
    as_json: Json = False,
) -> None:
    """Show what a component is: its formula, its source, its parameters."""
    from hzbench.commands import catalogue

    catalogue.show(name, as_json=as_json)


@app.command()
def report(
    results: Annotated[Path | None, typer.Argument(help="A results.json.")] = None,
    out: Annotated[Path | None, typer.Option(help="Where to write the page.")] = None,
    benchmarks: Annotated[
        Path | None, typer.Option(help="Draw the benchmarks that make bench saved instead.")
    ] = None,
) -> None:
    """Draw the HTML report of saved results, or of benchmarks, again."""
    from hzbench.commands import run as command

    print(command.report(results, out, benchmarks))


def main(arguments: list[str] | None = None) -> NoReturn:
    """Entry point: a mistake of the user's is one message and exit code 2, never a traceback."""
    try:
        threads()  # before numba reads it
        app(args=arguments)
    except UserMistakeError as error:
        print(f"hzbench: {error}", file=sys.stderr)
        sys.exit(2)
    except MemoryError as error:
        told = f"{str(error) or 'out of memory'}; expected a run that fits this machine"
        print(f"hzbench: got {told}; take fewer nodes, dimensions or replicas", file=sys.stderr)
        sys.exit(2)
    except (ImportError, OSError) as error:
        if not any(each in str(error) for each in _NO_ROOM):
            raise
        told = f"{str(error).partition('. ')[0]}; expected room for libraries, about 1.5 GiB"
        print(f"hzbench: got {told}; raise this process's limit of memory", file=sys.stderr)
        sys.exit(2)
    except HzbenchError as error:
        print(f"hzbench: {error}", file=sys.stderr)
        sys.exit(1)
    sys.exit(0)
