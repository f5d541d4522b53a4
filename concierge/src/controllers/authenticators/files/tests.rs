//! Folders on disk that change as people, tools and kubelets change them.

use std::{cell::RefCell, os::unix::fs::symlink};

use super::*;

const QUICK: Pace = Pace { look: Duration::from_millis(5), settle: Duration::from_millis(1) };

/// For what should happen in milliseconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// A folder that goes with the test.
struct Place(PathBuf);

impl Place {
    fn new() -> Self {
        let path = std::env::temp_dir().join(format!("latchkey-folder-{}", uuid::Uuid::new_v4()));
        fs::create_dir(&path).unwrap();
        Self(path)
    }

    fn with(files: &[(&str, &str)]) -> Self {
        let place = Self::new();
        for (name, text) in files {
            place.write(name, text);
        }
        place
    }

    /// As careful tools write: the file is there whole or not at all.
    fn write(&self, name: &str, text: &str) {
        let draft = self.0.join(format!(".{name}.draft"));
        fs::write(&draft, text).unwrap();
        fs::rename(draft, self.0.join(name)).unwrap();
    }

    fn remove(&self, name: &str) {
        fs::remove_file(self.0.join(name)).unwrap();
    }

    async fn open(&self) -> Result<Folder, FolderError> {
        Folder::open(self.0.clone(), QUICK).await
    }

    async fn watch(&self) -> Watch {
        Watch(self.open().await.unwrap().listings())
    }

    async fn refused(&self) -> String {
        self.open().await.unwrap_err().to_string().replace(&self.0.display().to_string(), "DIR")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Watch(BoxStream<'static, Listing>);

impl Watch {
    async fn next(&mut self) -> Listing {
        timeout(PATIENCE, self.0.next()).await.expect("the folder has changed").expect("it never ends")
    }
}

fn manifest(name: &str, audience: &str) -> String {
    format!(
        "apiVersion: authentication.concierge.latchkey.dev/v1alpha1\nkind: JWTAuthenticator\nmetadata: {{name: {name}}}\n\
         spec: {{issuer: https://idp.example.com, audience: {audience}}}\n"
    )
}

/// Name, generation, and the audience or the problem, of each.
fn told(listing: &Listing) -> Vec<(&str, i64, &str)> {
    let each = listing.declared.iter().map(|Declared { name, generation, spec, .. }| {
        let word = match spec {
            Ok(spec) => spec["audience"].as_str().unwrap(),
            Err(problem) => problem.as_str(),
        };
        (name.as_str(), *generation, word)
    });
    each.collect()
}

fn wrong(listing: &Listing) -> Vec<(&str, &str)> {
    listing.wrong.iter().map(|Wrong { file, problem }| (file.as_str(), problem.as_str())).collect()
}

#[tokio::test]
async fn what_comes_changes_and_goes_is_told_and_a_generation_is_never_given_twice() {
    let place = Place::with(&[("a.yaml", &manifest("a", "one")), ("b.json", &manifest("b", "one"))]);
    let mut watch = place.watch().await;
    let first = watch.next().await;
    assert_eq!(told(&first), [("a", 1, "one"), ("b", 2, "one")]);
    assert!(first.wrong.is_empty());
    assert_eq!(first.declared[0].kind, ManifestKind::Jwt);
    assert_ne!(first.declared[0].uid, first.declared[1].uid);

    place.write("a.yaml", &manifest("a", "two"));
    assert_eq!(told(&watch.next().await), [("a", 3, "two"), ("b", 2, "one")]);
    // What is not the spec is no other generation.
    place.write("a.yaml", &format!("# reviewed\n{}", manifest("a", "two")));
    assert_eq!(told(&watch.next().await), [("a", 3, "two"), ("b", 2, "one")]);

    place.write("c.yml", &manifest("c", "one").replace("JWTAuthenticator", "WebhookAuthenticator"));
    let third = watch.next().await;
    assert_eq!(told(&third), [("a", 3, "two"), ("b", 2, "one"), ("c", 4, "one")]);
    assert_eq!(third.declared[2].kind, ManifestKind::Webhook);

    place.remove("a.yaml");
    assert_eq!(told(&watch.next().await), [("b", 2, "one"), ("c", 4, "one")]);
    place.write("a.yaml", &manifest("a", "one"));
    let back = watch.next().await;
    assert_eq!(told(&back)[0], ("a", 5, "one"), "what was taken away does not come back as what it was");
    assert_eq!(back.declared[0].uid, first.declared[0].uid);

    // The last one may go, too: somebody wants that.
    for name in ["a.yaml", "b.json", "c.yml"] {
        place.remove(name);
    }
    loop {
        let listing = watch.next().await;
        assert!(listing.wrong.is_empty(), "{listing:?}");
        if listing.declared.is_empty() {
            break;
        }
    }
}

#[tokio::test]
async fn a_file_that_breaks_takes_its_own_with_it_and_nobody_else() {
    let two = format!("{}---\n{}", manifest("a", "one"), manifest("b", "one"));
    let place = Place::with(&[("ab.yaml", &two), ("c.yaml", &manifest("c", "one"))]);
    let mut watch = place.watch().await;
    assert_eq!(told(&watch.next().await), [("a", 1, "one"), ("b", 2, "one"), ("c", 3, "one")]);

    place.write("ab.yaml", &two.replacen("audience: one", "audience: [one", 1));
    let broken = watch.next().await;
    let problem = wrong(&broken)[0].1.to_owned();
    assert!(problem.starts_with("document 1: cannot be read: ") && problem.contains("line "), "{problem}");
    let expected = format!("ab.yaml: {problem}");
    assert_eq!(told(&broken), [("a", 4, expected.as_str()), ("b", 5, expected.as_str()), ("c", 3, "one")]);

    // A move out of a file that is broken is a move.
    place.write("b.yaml", &manifest("b", "two"));
    let moved = watch.next().await;
    assert_eq!(told(&moved), [("a", 4, expected.as_str()), ("b", 6, "two"), ("c", 3, "one")]);

    place.write("ab.yaml", &manifest("a", "one"));
    let mended = watch.next().await;
    assert_eq!(told(&mended), [("a", 7, "one"), ("b", 6, "two"), ("c", 3, "one")]);
    assert!(mended.wrong.is_empty());
}

#[tokio::test]
async fn every_way_to_be_unusable_is_told_with_its_mend() {
    let place = Place::with(&[("a.yaml", &manifest("a", "one")), ("good.yaml", &manifest("good", "one"))]);
    let mut watch = place.watch().await;
    watch.next().await;
    for (text, expected) in [
        ("", "holds no object: write one, or delete the file"),
        ("kind: Deployment\n", "expected JWTAuthenticator"),
        ("spec: {}\nspec: {}\n", "duplicate entry"),
        (&format!("#{}", "x".repeat(MAX_MANIFEST_BYTES)), "more than 1048576 bytes: split it"),
    ] {
        place.write("a.yaml", text);
        let listing = watch.next().await;
        assert_eq!(listing.wrong.len(), 1, "{text:.20}");
        assert!(listing.wrong[0].problem.contains(expected), "{:?}", listing.wrong);
        assert!(listing.declared[0].spec.is_err());
        assert_eq!(told(&listing)[1], ("good", 2, "one"));
    }
    fs::write(place.0.join("a.yaml"), [0xff, 0xfe]).unwrap();
    assert!(watch.next().await.wrong[0].problem.starts_with("is no UTF-8 text"));
    place.remove("a.yaml");
    assert_eq!(told(&watch.next().await), [("good", 2, "one")]);
    let socket = std::os::unix::net::UnixListener::bind(place.0.join("a.yaml")).unwrap();
    assert_eq!(wrong(&watch.next().await), [("a.yaml", "is no file: expected a file, or a link to one")]);
    drop(socket);
    place.remove("a.yaml");
    watch.next().await;
    symlink("nowhere", place.0.join("a.yaml")).unwrap();
    assert!(watch.next().await.wrong[0].problem.starts_with("cannot be read: No such file"));
}

#[tokio::test]
async fn two_that_have_one_name_admit_nobody() {
    let place = Place::with(&[("a.yaml", &manifest("a", "one")), ("c.yaml", &manifest("c", "one"))]);
    let mut watch = place.watch().await;
    watch.next().await;
    place.write("b.yaml", &manifest("a", "one"));
    let twins = watch.next().await;
    let problem = "JWTAuthenticator a stands in a.yaml and in b.yaml: give all but one another name";
    assert_eq!(told(&twins), [("a", 3, problem), ("c", 2, "one")]);
    assert_eq!(wrong(&twins), [("a.yaml", problem), ("b.yaml", problem)]);
    // A webhook's name is another name.
    place.write("b.yaml", &manifest("a", "one").replace("JWTAuthenticator", "WebhookAuthenticator"));
    let mended = watch.next().await;
    assert_eq!(told(&mended), [("a", 4, "one"), ("c", 2, "one"), ("a", 5, "one")]);
    assert!(mended.wrong.is_empty());
}

#[tokio::test]
async fn a_mounted_config_map_changes_in_one_step() {
    let place = Place::new();
    let version = |number: u32, audience: &str| {
        let folder = place.0.join(format!("..version_{number}"));
        fs::create_dir(&folder).unwrap();
        for name in ["a", "b"] {
            fs::write(folder.join(format!("{name}.yaml")), manifest(name, audience)).unwrap();
        }
        let next = place.0.join("..data_tmp");
        symlink(folder.file_name().unwrap(), &next).unwrap();
        fs::rename(next, place.0.join("..data")).unwrap();
    };
    version(1, "one");
    for name in ["a.yaml", "b.yaml"] {
        symlink(format!("..data/{name}"), place.0.join(name)).unwrap();
    }
    let mut watch = place.watch().await;
    assert_eq!(told(&watch.next().await), [("a", 1, "one"), ("b", 2, "one")]);
    version(2, "two");
    assert_eq!(told(&watch.next().await), [("a", 3, "two"), ("b", 4, "two")]);
}

#[tokio::test]
async fn only_manifests_are_read() {
    let place = Place::with(&[
        ("a.yaml", &manifest("a", "one")),
        (".hidden.yaml", "nonsense: ["),
        ("kustomization.yaml", "resources: [a.yaml]\n"),
        ("README.md", "words"),
        ("a.yaml~", "what an editor leaves"),
    ]);
    fs::create_dir(place.0.join("folder.yaml")).unwrap();
    fs::write(place.0.join("folder.yaml/b.yaml"), manifest("b", "one")).unwrap();
    let listing = place.watch().await.next().await;
    assert_eq!(told(&listing), [("a", 1, "one")]);
    assert!(listing.wrong.is_empty());
}

#[tokio::test]
async fn a_folder_that_could_admit_nobody_is_no_start() {
    let place = Place::new();
    assert_eq!(
        place.refused().await,
        "DIR holds no file that ends in .yaml, .yml or .json: put JWTAuthenticator manifests there"
    );
    place.write("a.yaml", "a: [");
    let refused = place.refused().await;
    assert!(
        refused.starts_with("DIR holds no authenticator that can be read: a.yaml: document 1: cannot be read"),
        "{refused}"
    );
    // One wrong file beside a right one is no reason to lock everybody out.
    place.write("b.yaml", &manifest("b", "one"));
    let listing = place.watch().await.next().await;
    assert_eq!(told(&listing), [("b", 1, "one")]);
    assert_eq!(listing.wrong[0].file, "a.yaml");
    fs::remove_dir_all(&place.0).unwrap();
    assert_eq!(place.refused().await, "DIR cannot be read: No such file or directory (os error 2)");
}

#[tokio::test]
async fn a_folder_that_goes_away_admits_nobody_until_it_is_back() {
    let place = Place::with(&[("a.yaml", &manifest("a", "one"))]);
    let mut watch = place.watch().await;
    watch.next().await;
    let aside = place.0.with_extension("aside");
    fs::rename(&place.0, &aside).unwrap();
    let gone = watch.next().await;
    assert_eq!(wrong(&gone), [(".", "the folder cannot be read: No such file or directory (os error 2)")]);
    assert_eq!(told(&gone), [("a", 2, ".: the folder cannot be read: No such file or directory (os error 2)")]);
    fs::rename(&aside, &place.0).unwrap();
    let back = watch.next().await;
    assert_eq!(told(&back), [("a", 3, "one")]);
    assert!(back.wrong.is_empty());
}

#[tokio::test]
async fn files_objects_and_names_are_bounded() {
    let many = |count: usize| (0..count).map(|n| manifest(&format!("n{n}"), "one") + "---\n").collect::<String>();
    let place = Place::with(&[("a.yaml", &many(MAX_MANIFESTS)), ("b.yaml", &manifest("b", "one"))]);
    let listing = place.watch().await.next().await;
    assert_eq!(listing.declared.len(), MAX_MANIFESTS);
    assert_eq!(wrong(&listing), [("b.yaml", "more than 256 objects in the folder: remove some")]);

    place.write("a.yaml", &manifest("a", "one"));
    let large = format!("#{}\n{}", "x".repeat(MAX_MANIFEST_BYTES - 1_000), manifest("large", "one"));
    (0..5).for_each(|number| place.write(&format!("x{number}.yaml"), &large.replace("large", &format!("x{number}"))));
    let listing = place.watch().await.next().await;
    assert_eq!(listing.declared.len(), 6, "a, b and four of the large ones");
    assert_eq!(
        wrong(&listing),
        [("x4.yaml", "more than 4194304 bytes in all files of the folder together: move some elsewhere")]
    );

    (0..MAX_FILES).for_each(|number| fs::write(place.0.join(format!("y{number}.yaml")), "").unwrap());
    let listing = place.watch().await.next().await;
    assert!(
        wrong(&listing).contains(&("y99.yaml", "more than 256 files in the folder: put several objects into one file"))
    );
    (0..=MAX_NAMES).for_each(|number| fs::write(place.0.join(number.to_string()), "").unwrap());
    assert!(place.refused().await.contains("more than 4096 names"));
}

#[tokio::test]
async fn a_change_counts_only_when_two_looks_agree() {
    let contents = |text: &str| Ok(BTreeMap::from([("a.yaml".to_owned(), Ok(text.as_bytes().to_vec()))]));
    let looks = |texts: &[&str]| RefCell::new(texts.iter().rev().map(|text| contents(text)).collect::<Vec<Contents>>());
    let of = async |looks: &RefCell<Vec<Contents>>| {
        settled(|| std::future::ready(looks.borrow_mut().pop().unwrap()), QUICK, &contents("old")).await
    };
    let same = looks(&["old"]);
    assert_eq!(of(&same).await, contents("old"));
    // The rules stand at the end: what is written so far would let more people in.
    let writing =
        looks(&["claims: {}", "claims: {}, rules", "claims: {}, rules: [x]", "claims: {}, rules: [x]", "later"]);
    assert_eq!(of(&writing).await, contents("claims: {}, rules: [x]"));
    assert_eq!(writing.into_inner().len(), 1, "two that agree are enough");
}
