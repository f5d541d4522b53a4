//! What the schemas say, asked of a real API server: objects that can never work are refused at `kubectl apply` with the words
//! that stand in them, and the good ones are taken.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result, bail, ensure};
use futures::{StreamExt as _, TryStreamExt as _, stream};
use latchkey_e2e::{
    cluster::{Cluster, ClusterOptions},
    definitions,
};

/// Where the tables are.
const TABLES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/tests");

/// The definitions that refuse and take.
const DEFINITIONS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../crds/manifests");

/// kubectl at once: each is mostly start-up, on two cores.
const AT_ONCE: usize = 4;

#[tokio::test]
async fn an_object_that_can_never_work_is_refused_at_apply_and_says_why() -> Result<()> {
    let mut options = ClusterOptions::named("objects");
    options.controllers_running = false;
    let cluster = Cluster::start(options).await?;
    cluster.kubectl_ok(&["apply", "--server-side", "-k", DEFINITIONS]).await?;
    definitions::established(&cluster).await?;
    cluster.kubectl_ok(&["create", "namespace", "latchkey"]).await?;

    let (bad, good) = (objects("bad_objects")?, objects("good_objects")?);
    ensure!(bad.len() > 50 && good.len() > 15, "{} bad and {} good objects", bad.len(), good.len());
    let wrong: Vec<String> = stream::iter(bad.iter().map(|file| refused(&cluster, file)))
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |verdict| Ok(verdict))
        .try_collect()
        .await?;
    ensure!(wrong.is_empty(), "{} of {} bad objects:\n{}", wrong.len(), bad.len(), wrong.join("\n"));
    let wrong: Vec<String> = stream::iter(good.iter().map(|file| taken(&cluster, file)))
        .buffer_unordered(AT_ONCE)
        .try_filter_map(async |verdict| Ok(verdict))
        .try_collect()
        .await?;
    ensure!(wrong.is_empty(), "{} of {} good objects:\n{}", wrong.len(), good.len(), wrong.join("\n"));
    the_audience_column_shows_one_and_several(&cluster).await
}

/// One column for two fields, of which each object has one.
async fn the_audience_column_shows_one_and_several(cluster: &Cluster) -> Result<()> {
    for (object, shown) in [
        ("jwt-smallest", "https://idp.example.com a "),
        ("jwt-audiences", r#"https://idp.example.com/realms/main ["kubernetes-staging","kubernetes-staging-next"] "#),
    ] {
        let file = format!("{TABLES}/good_objects/{object}.yaml");
        cluster.kubectl_ok(&["apply", "--server-side", "-f", &file]).await?;
        let table = cluster.kubectl_ok(&["get", "jwtauthenticator", object, "--no-headers"]).await?;
        let row = table.split_whitespace().collect::<Vec<_>>().join(" ");
        ensure!(row.starts_with(&format!("{object} {shown}")), "{row}");
    }
    Ok(())
}

/// `None`: refused with the words of its first line. Else what happened.
async fn refused(cluster: &Cluster, file: &Path) -> Result<Option<String>> {
    let text = fs::read_to_string(file)?;
    let first = text.lines().next().unwrap_or_default();
    let words = first.strip_prefix("# refused: ").with_context(|| format!("{}: {first}", file.display()))?;
    let (is_taken, said) = dry_run(cluster, file).await?;
    Ok(match (is_taken, said.contains(words)) {
        (false, true) => None,
        (false, false) => Some(format!("{}: expected {words:?}, said: {said}", name(file))),
        (true, _) => Some(format!("{}: expected {words:?}, was taken", name(file))),
    })
}

/// `None`: taken. Else what was said.
async fn taken(cluster: &Cluster, file: &Path) -> Result<Option<String>> {
    let (is_taken, said) = dry_run(cluster, file).await?;
    Ok((!is_taken).then(|| format!("{}: {said}", name(file))))
}

async fn dry_run(cluster: &Cluster, file: &Path) -> Result<(bool, String)> {
    let output = cluster.kubectl(&["apply", "--dry-run=server", "-f", &file.to_string_lossy()]).await?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
}

fn objects(folder: &str) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(Path::new(TABLES).join(folder))? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "yaml") {
            files.push(path);
        }
    }
    if files.is_empty() {
        bail!("no objects in {folder}");
    }
    files.sort();
    Ok(files)
}

fn name(file: &Path) -> String {
    file.file_name().unwrap_or_default().to_string_lossy().into_owned()
}
