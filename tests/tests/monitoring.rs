//! What we ship for watching: alerts that fire and are explained, a dashboard whose every query works, metrics that
//! Prometheus reads. One replay, seen from the token to the page.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    time::Duration,
};

use anyhow::{Context as _, Result, ensure};
use latchkey_concierge::{
    runtime::metrics::{HandshakeFailure, KeysState, Metrics},
    time::UnixTime,
};
use latchkey_e2e::{
    exchange::Exchanger,
    folder::TempFolder,
    issuer::{Issuer, IssuerOptions},
    prometheus::{Prometheus, monitoring, promtool},
    site::{AUTHENTICATOR, Site, issuer_for},
    wait::eventually,
};
use serde_json::Value;

/// A scrape a second, and rules a second: seconds. The rest is for two busy cores.
const SEEN_LIMIT: Duration = Duration::from_secs(90);

/// Panels that show nothing while all is well, or nothing in a cluster as small as the one of the test.
const QUIET: [(&str, &str); 5] = [
    ("Refusals against their usual", "its rules are evaluated once a minute, and its usual is that of a day"),
    ("Servers of webhook authenticators", "the test has none"),
    ("Keys whose secret is public", "the issuer of the test keeps its secrets"),
    ("Records lost", "nothing is lost"),
    ("Trouble", "there is none"),
];

#[test]
fn the_alerts_are_sound_and_each_is_tested_both_ways() -> Result<()> {
    let rules = monitoring("rules.yaml");
    promtool(&["check", "rules", &rules.to_string_lossy()], "")?;
    promtool(&["test", "rules", &monitoring("rules_test.yaml").to_string_lossy()], "")?;
    let tests: Value = serde_norway::from_str(&fs::read_to_string(monitoring("rules_test.yaml"))?)?;
    let tests = tests["tests"].as_array().context("tests")?;
    for alert in alerts()? {
        let name = alert["alert"].as_str().context("a name")?;
        let names_it = |case: &&Value| expected(case).contains(name);
        let fires: Vec<&Value> = tests.iter().filter(|test| cases(test).any(|case| names_it(&case))).collect();
        ensure!(!fires.is_empty(), "{name}: no test in which it fires");
        let silent = fires.iter().any(|test| cases(test).any(|case| !names_it(&case)));
        ensure!(silent, "{name}: no moment of those tests in which it is silent");
    }
    Ok(())
}

#[test]
fn the_alerts_say_what_to_do() -> Result<()> {
    let runbook = fs::read_to_string(monitoring("README.md"))?;
    for alert in alerts()? {
        let name = alert["alert"].as_str().context("a name")?;
        ensure!(name.starts_with("Latchkey"), "{name}: whose alert is it?");
        let severity = alert["labels"]["severity"].as_str().unwrap_or_default();
        ensure!(["critical", "warning"].contains(&severity), "{name}: severity {severity:?}");
        let annotation = |key: &str| alert["annotations"][key].as_str().unwrap_or_default();
        let (summary, description, link) =
            (annotation("summary"), annotation("description"), annotation("runbook_url"));
        ensure!(summary.ends_with('.') && !summary.contains("{{"), "{name}: a summary is one sentence without values");
        let what_to_do =
            description.contains('`') || description.contains("The runbook has") || description.contains(". ");
        ensure!(description.len() > summary.len() && what_to_do, "{name}: {description}");
        let anchor = format!("/deploy/monitoring/README.md#{}", name.to_lowercase());
        ensure!(link.ends_with(&anchor), "{name}: {link}");
        ensure!(runbook.contains(&format!("\n### {name}\n")), "{name}: the runbook does not explain it");
    }
    let headings = runbook.lines().filter_map(|line| line.strip_prefix("### "));
    let names: BTreeSet<String> =
        alerts()?.iter().filter_map(|alert| Some(alert["alert"].as_str()?.to_owned())).collect();
    for heading in headings {
        ensure!(names.contains(heading), "the runbook explains {heading}, which is no alert");
    }
    Ok(())
}

/// Alerts and dashboard read only what there is.
#[test]
fn every_metric_that_is_read_exists() -> Result<()> {
    let known = every_metric();
    let recorded: BTreeSet<String> =
        rules()?.iter().filter_map(|rule| Some(rule["record"].as_str()?.to_owned())).collect();
    let mut read = BTreeSet::new();
    let of_rules = rules()?.into_iter().filter_map(|rule| Some(rule["expr"].as_str()?.to_owned()));
    let of_panels = panels(&dashboard()?)?.into_iter().flat_map(|panel| prometheus_queries(&panel));
    for expression in of_rules.chain(of_panels) {
        for name in metric_names(&expression) {
            ensure!(known.contains(&name) || recorded.contains(&name), "{name} in {expression} does not exist");
            read.insert(name);
        }
    }
    ensure!(read.len() > 25, "{read:?}");
    Ok(())
}

#[test]
fn the_dashboard_is_laid_out_and_labelled() -> Result<()> {
    let dashboard = dashboard()?;
    ensure!(dashboard["id"].is_null() && dashboard["uid"] == "latchkey-overview", "it must import over itself");
    ensure!(dashboard["schemaVersion"].as_u64() >= Some(39) && dashboard["editable"] == false);
    ensure!(dashboard.get("__inputs").is_none(), "hosted Grafana and the sidecar do not fill inputs");
    let variables = dashboard["templating"]["list"].as_array().context("variables")?;
    let names: Vec<&str> = variables.iter().filter_map(|variable| variable["name"].as_str()).collect();
    ensure!(names == ["datasource", "loki_datasource", "cluster", "job", "authenticator"], "{names:?}");
    let (mut ids, mut titles, mut cells) = (BTreeSet::new(), BTreeSet::new(), BTreeMap::new());
    for panel in panels(&dashboard)? {
        let title = panel["title"].as_str().unwrap_or_default().to_owned();
        ensure!(!title.is_empty() && titles.insert(title.clone()), "a title of its own: {title:?}");
        ensure!(ids.insert(panel["id"].as_u64().context("an id")?), "{title}: its id is taken");
        let place = |key: &str| panel["gridPos"][key].as_u64().with_context(|| format!("{title}: {key}"));
        let (x, y, w, h) = (place("x")?, place("y")?, place("w")?, place("h")?);
        ensure!(w > 0 && h > 0 && x + w <= 24, "{title}: outside the grid");
        for cell in (x..x + w).flat_map(|column| (y..y + h).map(move |line| (column, line))) {
            if let Some(other) = cells.insert(cell, title.clone()) {
                anyhow::bail!("{title} lies over {other}");
            }
        }
        if panel["type"] == "row" {
            continue;
        }
        let description = panel["description"].as_str().unwrap_or_default();
        ensure!(description.ends_with('.'), "{title}: {description:?} describes nothing");
        ensure!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}: in which unit?");
        let targets = panel["targets"].as_array().filter(|targets| !targets.is_empty());
        for target in targets.with_context(|| format!("{title}: shows nothing"))? {
            ensure!(target["datasource"] == panel["datasource"], "{title}: two data sources");
            let (kind, uid) = (&target["datasource"]["type"], &target["datasource"]["uid"]);
            let ours =
                (kind == "prometheus" && uid == "${datasource}") || (kind == "loki" && uid == "${loki_datasource}");
            ensure!(ours, "{title}: a data source of somebody's own: {kind} {uid}");
            let expression = target["expr"].as_str().context("a query")?;
            ensure!(
                expression.contains(r#"cluster=~"$cluster""#) || expression.contains("ALERTS"),
                "{title}: {expression}"
            );
            let windows = expression.matches('[').count();
            let ours = ["[$__rate_interval]", "[$__range]", "[1d]"].map(|window| expression.matches(window).count());
            ensure!(windows == ours.iter().sum::<usize>(), "{title}: a window of a fixed length: {expression}");
        }
    }
    for (title, _) in QUIET {
        ensure!(titles.contains(title), "{title} is not on the dashboard");
    }
    Ok(())
}

#[tokio::test]
async fn a_replay_reaches_the_page_and_every_panel() -> Result<()> {
    let work = TempFolder::new("monitoring")?;
    let issuer = issuer_for(&["staging", "production"]).await?;
    let production = Site::start("production", work.path()).await?;
    let audiences = ["production", "staging"].map(|name| (name, Site::audience(name)));
    production.fleet(&audiences.each_ref().map(|(name, audience)| (*name, audience.as_str()))).await?;
    production.trust(&issuer).await?;
    production.offers("CertificateSigningRequestAPI").await?;
    let prometheus = Prometheus::start(&[("production", &production.concierge)]).await?;
    metrics_are_in_order(&production, &prometheus).await?;
    ensure!(prometheus.firing().await?.is_empty(), "nothing has happened yet: {:?}", prometheus.firing().await?);

    let exchanger = Exchanger::through(&production.cluster)?;
    let good = exchanger.exchange(&issuer.id_token("ann", &Site::audience("production"))?).await?;
    ensure!(good.is_granted(), "{}", good.body["status"]);
    // A stranger's token with staging's audience: what it claims must move nothing.
    let stranger = Issuer::start(IssuerOptions::default()).await?;
    let mut claims = issuer.claims("ann", &Site::audience("staging"))?;
    claims["sub"] = "\u{1b}[31mann\"} 1\nlatchkey_panics_total 7\n".into();
    exchanger.exchange(&stranger.mint(&claims)?).await?.refused()?;
    let forged = eventually("the forgery to be counted", SEEN_LIMIT, async || {
        let seen = prometheus.query(r#"sum(latchkey_token_verdicts_total{code="signature-invalid"}) > 0"#).await?;
        ensure!(!seen.is_empty());
        prometheus.query("sum(latchkey_cross_cluster_rejections_total) > 0").await
    });
    ensure!(forged.await?.is_empty(), "a forgery is no replay");

    // The same claims with the issuer's own signature are one.
    exchanger.exchange(&issuer.mint(&claims)?).await?.refused()?;
    let page = eventually("LatchkeyCrossClusterTokenLive to fire", SEEN_LIMIT, async || {
        let firing = prometheus.firing().await?;
        let page = firing.iter().find(|alert| alert["labels"]["alertname"] == "LatchkeyCrossClusterTokenLive");
        page.cloned().with_context(|| format!("{firing:?}"))
    })
    .await?;
    let labels = &page["labels"];
    ensure!(labels["claimed_cluster"] == "staging" && labels["authenticator"] == AUTHENTICATOR, "{page}");
    ensure!(labels["cluster"] == "production" && labels["severity"] == "critical", "{page}");
    ensure!(
        page["annotations"]["description"].as_str().is_some_and(|words| words.contains("for cluster staging")),
        "{page}"
    );
    let firing = prometheus.firing().await?;
    ensure!(firing.iter().all(|alert| alert["labels"] == *labels), "one replay, one page: {firing:?}");
    ensure!(!production.concierge.metrics().await?.contains("31mann"), "a claim in a label");

    every_panel_shows_something(&prometheus).await?;
    metrics_are_in_order(&production, &prometheus).await
}

async fn metrics_are_in_order(site: &Site, prometheus: &Prometheus) -> Result<()> {
    promtool(&["check", "metrics"], &site.concierge.metrics().await?).context("metrics as text")?;
    // Prometheus asks for OpenMetrics, whose parser is the stricter one.
    eventually("Prometheus to read the metrics", SEEN_LIMIT, async || {
        let targets = prometheus.targets().await?;
        let [target] = targets.as_slice() else { anyhow::bail!("{targets:?}") };
        ensure!(target["health"] == "up" && target["lastError"] == "", "{target}");
        Ok(())
    })
    .await
}

async fn every_panel_shows_something(prometheus: &Prometheus) -> Result<()> {
    for panel in panels(&dashboard()?)? {
        let title = panel["title"].as_str().unwrap_or_default();
        for expression in prometheus_queries(&panel) {
            let quiet = QUIET.iter().any(|(quiet, _)| *quiet == title);
            eventually(&format!("panel {title} to show {expression}"), SEEN_LIMIT, async || {
                let seen = prometheus.query(&expression).await?;
                ensure!(quiet || !seen.is_empty(), "nothing");
                anyhow::Ok(())
            })
            .await?;
        }
    }
    Ok(())
}

fn rules() -> Result<Vec<Value>> {
    let file: Value = serde_norway::from_str(&fs::read_to_string(monitoring("rules.yaml"))?)?;
    let groups = file["groups"].as_array().context("groups")?;
    Ok(groups.iter().filter_map(|group| group["rules"].as_array()).flatten().cloned().collect())
}

fn alerts() -> Result<Vec<Value>> {
    Ok(rules()?.into_iter().filter(|rule| rule["alert"].is_string()).collect())
}

/// What a case of a test of the rules expects to fire, as text. What it does not name is to be silent.
fn expected(case: &Value) -> String {
    let alerts = case["exp_alerts"].as_array().is_some_and(|alerts| !alerts.is_empty());
    let (samples, of_rule) = (&case["exp_samples"], if alerts { &case["alertname"] } else { &Value::Null });
    // A query for one alert alone names it itself.
    let asked =
        if samples.as_array().is_some_and(|samples| !samples.is_empty()) { &case["expr"] } else { &Value::Null };
    format!("{samples}{of_rule}{asked}")
}

fn cases(test: &Value) -> impl Iterator<Item = &Value> {
    ["promql_expr_test", "alert_rule_test"].into_iter().filter_map(|kind| test[kind].as_array()).flatten()
}

fn dashboard() -> Result<Value> {
    Ok(serde_json::from_str(&fs::read_to_string(monitoring("dashboard.json"))?)?)
}

fn panels(dashboard: &Value) -> Result<Vec<Value>> {
    Ok(dashboard["panels"].as_array().context("panels")?.clone())
}

/// The queries of a panel that go to Prometheus, with what Grafana would put for its variables.
fn prometheus_queries(panel: &Value) -> Vec<String> {
    let targets = panel["targets"].as_array().cloned().unwrap_or_default();
    let ours = targets.into_iter().filter(|target| target["datasource"]["type"] == "prometheus");
    ours.filter_map(|target| Some(target["expr"].as_str()?.to_owned()))
        .map(|expression| {
            let variables = [("$__rate_interval", "1m"), ("$__range", "1h")];
            let names = ["$cluster", "$job", "$authenticator"].map(|name| (name, ".*"));
            variables.iter().chain(&names).fold(expression, |text, (name, value)| text.replace(name, value))
        })
        .collect()
}

/// The names in an expression that can only be metrics of ours.
fn metric_names(expression: &str) -> BTreeSet<String> {
    let part = |character: char| character.is_ascii_alphanumeric() || "_:".contains(character);
    // What stands between quotes is a value.
    let outside = expression.split('"').step_by(2);
    let words = outside.flat_map(|text| text.split(|character| !part(character)));
    words
        .filter(|word| ["latchkey_", "latchkey:", "process_"].iter().any(|start| word.starts_with(start)))
        .map(str::to_owned)
        .collect()
}

/// Every sample name that the concierge can show.
fn every_metric() -> BTreeSet<String> {
    let (metrics, now, name) = (Metrics::new(), UnixTime::from_secs(1), AUTHENTICATOR);
    metrics.started(now);
    metrics.exchange("granted", name, Duration::ZERO);
    metrics.webhook_asked(name, "admitted", Duration::ZERO);
    metrics.cross_cluster(name, "staging", "live");
    metrics.authenticator_ready(name, true);
    let known = Some(now);
    metrics
        .keys(name, KeysState { usable: 1, exposed: 0, fetched_at: known, next_fetch_at: known, failing_since: known });
    metrics.keys_fetch(name, "new");
    metrics.audit_sink_up("stdout", true);
    metrics.audit_written("stdout", 1, now);
    metrics.audit_checkpoint("stdout", now);
    metrics.request("/", 200);
    metrics.handshake_failure(HandshakeFailure::Protocol);
    metrics.leader(true);
    metrics.fleet_members(1);
    metrics.token_rejections(1);
    metrics.kube_event("sent");
    metrics.certificate("serving", now, now);
    let text = metrics.encode_classic(now);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| Some(line.split(['{', ' ']).next()?.to_owned())).collect()
}
