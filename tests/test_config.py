"""Configuration: layers, provenance, and mistakes told with their place."""

import re

import pytest

from clvpipe.config import load_pipeline, load_settings
from clvpipe.config.load import read_toml
from clvpipe.config.rules import RfmGroups, load_codes, load_lifecycle, load_rfm_groups
from clvpipe.errors import ConfigError, UsageError
from clvpipe.locations import package_file, resource_dir
from tests.support import CONFIG


def _load(tmp_path, text):
    path = tmp_path / "bank.toml"
    path.write_text(text, encoding="utf-8")
    return load_settings(path)


def test_a_plain_value_over_a_threshold_names_its_file(tmp_path):
    settings = _load(tmp_path, CONFIG + "[lifecycle]\nchurn_days = 120\n")
    assert settings.lifecycle.churn_days.value == 120
    assert settings.lifecycle.churn_days.provenance == "set in bank.toml"
    assert settings.lifecycle.new_days.value == 90
    assert "Emarsys" in settings.lifecycle.new_days.provenance


def test_a_threshold_may_bring_its_own_provenance(tmp_path):
    text = CONFIG + '[lifecycle]\nchurn_days = { value = 120, provenance = "board, 2024" }\n'
    assert _load(tmp_path, text).lifecycle.churn_days.provenance == "board, 2024"


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('currency = "EUR"\n', "inputs"),
        (CONFIG + "surprise = 1\n", "surprise"),
        (CONFIG.replace("EUR", "euro"), "currency"),
        (CONFIG.replace("retail", "casino"), "preset"),
        (CONFIG + "[lifecycle]\nchurn_days = 0\n", "churn_days"),
        (CONFIG + "[lifecycle]\nchurn_days = 'x'\n", "churn_days"),
        (CONFIG + "[lifecycle]\nrecent_days = 365\n", "lifecycle"),
        (CONFIG + "[lifecycle]\nbaseline_minimum_days = 400\n", "lifecycle"),
        (CONFIG + '[quadrants]\npotential_theta = { method = "fixed", parameter = 2 }\n', "quadrants"),
        (CONFIG + '[quadrants]\ncurrent_theta = { method = "fixed", parameter = 1e40 }\n', "current_theta"),
        (CONFIG + "[rfm]\ncut_shares = [0.2, 0.1, 0.6, 0.8]\n", "cut_shares"),
        (CONFIG + "[value_tier]\nhigh_share = 0.9\nmid_share = 0.3\n", "value_tier"),
        (CONFIG + '[quadrants]\ncurrent_theta = { method = "quantile" }\n', "current_theta"),
        (CONFIG + '[quadrants]\ncurrent_theta = { method = "median", parameter = 2 }\n', "current_theta"),
        (CONFIG + 'delimiter = "ab"\n', "delimiter"),
        (CONFIG + 'encoding = "klingon"\n', "encoding"),
        (CONFIG + 'encoding = "hex"\n', "encoding"),
        (CONFIG + 'columns = { password = "x" }\n', "inputs"),
        (CONFIG + 'delivery = "snapshot"\n', "inputs.transactions"),
        (CONFIG + 'extract_date = { file_name = "[" }\n', "extract_date"),
        (CONFIG + 'extract_date = { file_name = "x" }\n', "extract_date"),
        ('timezone = "Mars/Olympus"\n' + CONFIG, "timezone"),
        (
            CONFIG
            + "[purchases]\n"
            + 'rules = [{ types = ["A"], purchase = true }, { types = ["A"], purchase = false }]\n',
            "rules",
        ),
    ],
)
def test_mistakes_name_their_setting(tmp_path, text, place):
    with pytest.raises(ConfigError) as caught:
        _load(tmp_path, text)
    assert "bank.toml" in (caught.value.where or "")
    assert place in (caught.value.where or "")


@pytest.mark.parametrize("content", [b"a = ", b"\xff\xfe", b"[a]\n[a]\n"])
def test_a_file_that_is_not_toml(tmp_path, content):
    (tmp_path / "bank.toml").write_bytes(content)
    with pytest.raises(ConfigError, match=re.compile("TOML|read")):
        load_settings(tmp_path / "bank.toml")


def test_a_missing_file(tmp_path):
    with pytest.raises(ConfigError, match="does not exist"):
        load_settings(tmp_path / "bank.toml")


def test_a_rules_change_changes_the_digest_of_its_section_only(tmp_path):
    before = _load(tmp_path, CONFIG)
    after = _load(tmp_path, CONFIG + "[lifecycle]\nchurn_days = 120\n")
    assert before.digest("lifecycle") != after.digest("lifecycle")
    assert before.digest("rfm", "clv") == after.digest("rfm", "clv")
    assert before.digest() != after.digest()


def test_every_default_threshold_says_where_it_comes_from():
    def thresholds(tree):
        for value in tree.values():
            if isinstance(value, dict):
                if "value" in value or "method" in value:
                    yield value
                else:
                    yield from thresholds(value)

    found = list(thresholds(read_toml(resource_dir("config") / "defaults.toml")))
    assert len(found) > 30
    assert all(len(threshold["provenance"]) > 10 for threshold in found)


def test_pipelines():
    assert load_pipeline("cdnow").as_of == "1997-09-30"
    with pytest.raises(UsageError, match="no pipeline 'nope'"):
        load_pipeline("nope")


@pytest.mark.parametrize("name", ["../../../etc/passwd", "cdnow/../nightly", "/etc/passwd"])
def test_a_pipeline_name_is_not_a_path(name):
    with pytest.raises(UsageError):
        load_pipeline(name)


def test_stages_out_of_order_are_refused(tmp_path):
    path = tmp_path / "odd.toml"
    path.write_text('title = "odd"\nstages = ["score", "ingest"]\n')
    with pytest.raises(ConfigError, match="in this order"):
        load_pipeline(str(path))


def test_package_files():
    assert package_file("package:lifetimes/datasets/CDNOW_sample.txt").is_file()
    for wrong in ("package:no_such_package/x", "package:lifetimes/nothing.txt", "package:lifetimes"):
        with pytest.raises(ConfigError):
            package_file(wrong)


def test_rfm_groups_are_a_partition():
    groups = load_rfm_groups()
    codes = [code for code, _ in groups.by_code()]
    assert sorted(codes) == sorted(
        {f"{r}{f}{m}" for r in range(1, 6) for f in range(1, 6) for m in range(1, 6)}
    )
    assert {group for _, group in groups.by_code()} == set(load_codes().of("rfm_group"))
    whole = [group.model_dump() for group in groups.group]
    with pytest.raises(ValueError, match="lies in no group"):
        RfmGroups.model_validate({"group": whole[1:]})
    with pytest.raises(ValueError, match="lies in two groups"):
        RfmGroups.model_validate({"group": [*whole, whole[0]]})


def test_lifecycle_labels_are_codes():
    codes = load_codes()
    states = load_lifecycle().state
    assert tuple(state.code for state in states) == codes.of("lifecycle_state")
    for state in states:
        for scheme in ("stage5", "relationship5", "icbc6", "stage4"):
            assert getattr(state, scheme) in codes.of(scheme)
        assert state.icbc6_when_paid_back in (None, *codes.of("icbc6"))


@pytest.mark.parametrize(
    ("lines", "meant"),
    [
        ("[lifecycle]\nchurn_day = 3\n", "`churn_days`"),
        ("[lifecyle]\nchurn_days = 3\n", "`lifecycle`"),
        ("[potential]\nasset = 'count'\n", "`assets`"),
    ],
)
def test_a_mistyped_setting_is_told_which_is_meant(bench, lines, meant):
    bench.config += lines
    with pytest.raises(ConfigError, match=f"there is no such setting; is {meant} meant") as caught:
        load_settings(bench.config_path)
    assert str(caught.value.next_step).endswith("defaults.toml")


def test_a_byte_order_mark_before_the_settings_is_no_setting(bench):
    bench.config_path.write_text(bench.config, encoding="utf-8-sig")
    path = bench.folder / "clvpipe.toml"
    assert load_settings(path).currency == "EUR"
