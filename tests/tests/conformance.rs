//! What a real kube-apiserver makes of a configuration and a token, we make of it too; but for a short list.

use std::{collections::BTreeMap, path::Path, time::Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use latchkey_concierge::time::UnixTime;
use latchkey_e2e::conformance::{
    Verdict, comparison,
    differences::{self, Difference},
    issuers::Issuers,
    kubernetes::{Kubernetes, MOST_ENTRIES},
    ours,
    plan::{self, Plan},
    table, token,
};

/// kube-apiservers that share the work: a file comes into force ten seconds after it was written (it looks whether all
/// issuers answer, and then again after so long), and that is idle time.
const API_SERVERS: usize = 4;

/// Tokens under review at once.
const REVIEWS: usize = 16;

/// The issue asks for so many at least.
const LEAST_CASES: usize = 300;
const LEAST_INVALID: usize = 60;

/// "The list is short": more reasons than this to differ from Kubernetes, and it is no longer Kubernetes' behaviour.
const MOST_DIFFERENCES: usize = 40;

/// A case's verdicts, kube-apiserver's and ours.
type Verdicts = BTreeMap<usize, (Verdict, Verdict)>;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_case_gets_kube_apiservers_verdict_from_us_or_is_listed_with_a_reason() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let tables = table::read_all(&folder)?;
    let listed = differences::read(&folder.join(table::DIFFERENCES))?;
    let start = Instant::now();
    let issuers = Issuers::start().await?;
    let keys = token::Keys::make()?;
    let plan = plan::plan(&tables, issuers.url(), issuers.ca_pem())?;
    for setup in &plan.setups {
        issuers.publish(setup, keys.publish(&setup.keys)?);
    }
    let verdicts = ask(&plan, &keys).await?;
    let invalid = verdicts.values().filter(|(theirs, _)| matches!(theirs, Verdict::Invalid(_))).count();
    let judged = verdicts.len() - invalid;
    eprintln!(
        "{judged} tokens judged and {invalid} configurations refused by kube-apiserver, {} configurations in all, in {:?}",
        plan.setups.len(),
        start.elapsed()
    );

    let problems = compare(&plan, &verdicts, &listed);
    for problem in &problems {
        eprintln!("{problem}");
    }
    ensure!(problems.is_empty(), "{} of {} cases differ", problems.len(), verdicts.len());
    ensure!(judged >= LEAST_CASES, "only {judged} cases");
    ensure!(invalid >= LEAST_INVALID, "only {invalid} invalid configurations");
    ensure!(listed.len() <= MOST_DIFFERENCES, "the list of differences has {} entries", listed.len());
    Ok(())
}

/// Asks both sides about every case.
async fn ask(plan: &Plan<'_>, keys: &token::Keys) -> Result<Verdicts> {
    let started = (0..API_SERVERS).map(async |number| Kubernetes::start(&format!("conformance-{number}")).await);
    let mut servers = futures::future::try_join_all(started).await?;
    let entries: Vec<_> = plan.setups.iter().map(|setup| &setup.entry).collect();
    let found = servers[0].validate(&entries).await?;
    let mut verdicts = Verdicts::new();
    for (number, planned) in plan.cases.iter().enumerate() {
        if let Some(problem) = &found[planned.setup] {
            let ours = ours::validate(&plan.setups[planned.setup].entry, &planned.case.ours);
            verdicts.insert(number, (Verdict::Invalid(problem.clone()), ours));
        }
    }

    let valid: Vec<usize> = (0..plan.setups.len()).filter(|setup| found[*setup].is_none()).collect();
    let shares = valid.len().div_ceil(servers.len()).max(1);
    let asked =
        servers.iter_mut().zip(valid.chunks(shares)).map(|(server, share)| ask_server(server, plan, keys, share));
    for answers in futures::future::try_join_all(asked).await? {
        verdicts.extend(answers);
    }
    Ok(verdicts)
}

/// Brings a share of the configurations into force, one fileful after the other, and asks for their cases.
async fn ask_server(server: &mut Kubernetes, plan: &Plan<'_>, keys: &token::Keys, share: &[usize]) -> Result<Verdicts> {
    let mut verdicts = Verdicts::new();
    for fileful in share.chunks(MOST_ENTRIES) {
        let entries: Vec<_> = fileful.iter().map(|setup| &plan.setups[*setup].entry).collect();
        server.load(&entries).await?;
        let server = &*server;
        let cases = plan.cases.iter().enumerate().filter(|(_, planned)| fileful.contains(&planned.setup));
        let answers: Vec<_> = stream::iter(cases)
            .map(async |(number, planned)| {
                let token = token::make(planned.case, keys, plan.setups[planned.setup].issuer(), token::unix_now())?;
                let theirs = server.review(&token).await?;
                anyhow::Ok((number, (theirs, judge_ourselves(plan, number, keys, &token)?)))
            })
            .buffer_unordered(REVIEWS)
            .try_collect()
            .await?;
        verdicts.extend(answers);
    }
    Ok(verdicts)
}

fn judge_ourselves(plan: &Plan<'_>, case: usize, keys: &token::Keys, token: &str) -> Result<Verdict> {
    let planned = &plan.cases[case];
    let setup = &plan.setups[planned.setup];
    let published = keys.publish(&setup.keys)?;
    Ok(ours::judge(&setup.entry, &planned.case.ours, &published, token, UnixTime::from_secs(token::unix_now())))
}

/// Everything that is not as the tables and the list say.
fn compare(plan: &Plan<'_>, verdicts: &Verdicts, listed: &[Difference]) -> Vec<String> {
    let mut problems = Vec::new();
    let mut unseen: Vec<_> = listed.iter().map(|difference| difference.ours.clone()).collect();
    for (number, planned) in plan.cases.iter().enumerate() {
        let name = &planned.name;
        let Some((theirs, ours)) = verdicts.get(&number) else {
            problems.push(format!("{name}: was not asked"));
            continue;
        };
        if let Some(problem) = comparison::against_record(planned.case, theirs) {
            problems.push(format!("{name}: {problem}"));
        }
        let known: Vec<_> = (0..listed.len()).filter(|at| listed[*at].names(name)).collect();
        match (comparison::against_ours(theirs, ours), &known[..]) {
            (None, []) => {}
            (Some(divergence), [at]) if divergence.is(&listed[*at]) => {
                unseen[*at].remove(&divergence.ours);
            }
            (Some(divergence), _) => problems.push(format!("{name}: differs\n      {}", divergence.story)),
            (None, _) => problems.push(format!("{name}: is listed as a difference, and is none")),
        }
    }
    let idle = listed.iter().zip(unseen).filter(|(_, unseen)| !unseen.is_empty());
    problems.extend(idle.map(|(difference, words)| format!("no case shows {words:?} of {:?}", difference.cases)));
    problems
}
