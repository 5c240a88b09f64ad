"""The command line: one line per verb, each a lazy path to the Python function of the same name."""

import importlib.metadata
import sys
from collections.abc import Sequence

from cyclopts import App, CycloptsError, Parameter
from rich.text import Text

from sibboleth.errors import SibbolethError
from sibboleth.terminal import Terminal

WRONG_USE = 2
STOPPED = 130

app = App(
    name="sibboleth",
    help="Which speech encoder, layer and fine-tuning for this language, dialect or accent?",
    version=lambda: f"sibboleth {importlib.metadata.version('sibboleth')}",
    version_flags=["--version"],
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(negative=()),
)
corpus = App(name="corpus", help="Look at a manifest, or write one for a public corpus.")
cache = App(name="cache", help="See, verify, export and empty the cache of encoded speech.")

listen = App(name="listen", help="People: their answers from other tools, and a test that they take.")
preset = App(name="preset", help="Study and pre-training files that come with sibboleth.")
protocol = App(name="protocol", help="Published protocols: what they ask, what is wrong with them, a study of one.")

app.command(
    "sibboleth.recipes.demo:demo", name="demo", help="Make speech, run the whole study on it, write the report."
)
app.command(
    "sibboleth.recipes.reproduce:reproduce",
    name="reproduce",
    help="The anchor study (humans vs. models) from corpora to report.",
)
app.command("sibboleth.recipes.run:run", name="run", help="Run a study file and write its report; run again to go on.")
app.command(
    "sibboleth.recipes.status:status", name="status", help="How a run stands: done, running, failed, time left."
)
app.command("sibboleth.recipes.check:check", name="check", help="Audit a study or anybody's split lists for leaks.")
app.command("sibboleth.recipes.plan:plan", name="plan", help="Tell what a study would do, without doing any of it.")
app.command(
    "sibboleth.recipes.recommend:recommend", name="recommend", help="Which source, which layer, without target labels."
)
app.command("sibboleth.recipes.train:train", name="train", help="Train the final model of a study, as a folder.")
app.command("sibboleth.recipes.predict:predict", name="predict", help="Label audio with a trained model.")
app.command(
    "sibboleth.recipes.transcribe:transcribe", name="transcribe", help="Transcribe audio with a recogniser as it is."
)
app.command(
    "sibboleth.recipes.diarize:diarize", name="diarize", help="Say which label holds when, with a trained model."
)
app.command(corpus)
app.command("sibboleth.recipes.encode:encode", name="encode", help="Encode a manifest once, for all layers.")
app.command("sibboleth.recipes.pretrain:pretrain", name="pretrain", help="Make an encoder from speech without labels.")
app.command("sibboleth.recipes.curves:curves", name="curves", help="How much speech, and in which language? Pre-train.")
app.command("sibboleth.recipes.eer:eer", name="eer", help="How well an encoder tells speakers apart, layer by layer.")
app.command(listen)
app.command(preset)
app.command(cache)
app.command(protocol)
app.command("sibboleth.recipes.score:score", name="score", help="Score predictions made by anybody, with intervals.")
app.command(
    "sibboleth.recipes.plan_power:plan_power", name="plan-power", help="Speakers and items needed to see a difference."
)
app.command("sibboleth.recipes.box:box", name="box", help="Make the encoders in the box again.", show=False)
app.command("sibboleth.recipes.report:report", name="report", help="Write a run's report again from its tables.")

corpus.command(
    "sibboleth.recipes.corpus:describe", name="describe", help="Hours, speakers, labels, levels, duplicates."
)
corpus.command("sibboleth.recipes.corpora:known", name="list", help="Corpora that are known, or all about one.")
corpus.command("sibboleth.recipes.corpus:prepare", name="prepare", help="Write the manifest of a known corpus.")
corpus.command("sibboleth.recipes.corpora:check", name="check", help="Compare a folder with what was published.")
corpus.command("sibboleth.recipes.mix:mix", name="mix", help="Put utterances together: which emotion appears when.")
corpus.command("sibboleth.recipes.speak:speak", name="speak", help="Speak hours of speech to pre-train on.")
corpus.command(
    "sibboleth.recipes.corpus_import:corpus_import", name="import", help="Read a corpus in another tool's format."
)
corpus.command(
    "sibboleth.recipes.corpus_export:corpus_export", name="export", help="Write a manifest in another tool's format."
)
listen.command(
    "sibboleth.recipes.listen_design:design", name="design", help="Draw a listening test: items, sounds, orders."
)
listen.command(
    "sibboleth.recipes.listen_simulate:simulate", name="simulate", help="Let simulated listeners take a drawn test."
)
listen.command("sibboleth.recipes.listen_serve:listen_serve", name="serve", help="Let people take a test.")
listen.command("sibboleth.recipes.listen_answers:links", name="links", help="Make a personal link for each listener.")
listen.command("sibboleth.recipes.listen_answers:status", name="status", help="How a test goes, while people take it.")
listen.command("sibboleth.recipes.listen_answers:write", name="export", help="Write the tables, at any time.")
listen.command("sibboleth.recipes.listen_answers:withdraw", name="withdraw", help="Delete all of one listener.")
listen.command(
    "sibboleth.recipes.listen_import:listen_import", name="import", help="Read what people answered in another tool."
)
listen.command(
    "sibboleth.recipes.listen_compare:listen_compare", name="compare", help="People beside models, on the same items."
)
preset.command("sibboleth.recipes.preset:names", name="names", help="The files there are.")
preset.command("sibboleth.recipes.preset:show", name="show", help="Print one.")
preset.command("sibboleth.recipes.preset:write", name="write", help="Write one, to run it or to change it.")
protocol.command("sibboleth.recipes.protocol:names", name="names", help="The protocols that a study can name.")
protocol.command("sibboleth.recipes.protocol:show", name="show", help="Rules, flaws and numbers of one.")
protocol.command("sibboleth.recipes.protocol:write", name="write", help="Write a study file that follows one.")
cache.command("sibboleth.recipes.cache:size", name="size", help="What the cache holds of each encoder.")
cache.command("sibboleth.recipes.cache:verify", name="verify", help="Check every checksum; remove what is corrupt.")
cache.command("sibboleth.recipes.cache:prune", name="prune", help="Show what can go: unused, gone, or too much.")
cache.command("sibboleth.recipes.cache:export", name="export", help="Write features of a manifest for other tools.")
cache.command("sibboleth.recipes.cache:clear", name="clear", help="Remove what the cache holds of one encoder.")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one verb, print what it returns, and exit: 0 done, 1 refused or found wanting, 2 wrong use, 130 stopped."""
    complaints = Terminal(stderr=True, soft_wrap=True)
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except (CycloptsError, SibbolethError) as error:
        complaints.print(Text("error: ", style="bold red"), str(error).strip(), sep="")
        sys.exit(error.exit_code if isinstance(error, SibbolethError) else WRONG_USE)
    except KeyboardInterrupt:
        complaints.print("stopped; what is finished is kept, and the same command goes on from there")
        sys.exit(STOPPED)
    if result is not None:
        Terminal(soft_wrap=getattr(result, "soft_wrap", not hasattr(result, "__rich__"))).print(result)
    if code := getattr(result, "exit_code", 0):
        sys.exit(code)
