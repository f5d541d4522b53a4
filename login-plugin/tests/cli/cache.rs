//! A cache in bad shape: never used, never followed, never a failed login.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::not_run::not_run;
use crate::plugin::{Ended, Laptop, credential};
use crate::site::Site;

/// Logs in, spoils the credential's file, and runs again: the session is still there, so no login is needed.
async fn after_spoiling(spoil: impl FnOnce(&Path)) -> (Laptop, Ended) {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    spoil(&laptop.entry("credentials", "json"));
    let ended = run.end().await;
    ended.credential();
    assert_eq!((site.seen(|seen| seen.logins), site.exchanges()), (1, 2), "exchanged anew, without a login");
    (laptop, ended)
}

#[tokio::test]
async fn cache_file_truncated() {
    let (_laptop, ended) = after_spoiling(|path| {
        let whole = fs::read(path).unwrap();
        fs::write(path, &whole[..whole.len() / 2]).unwrap();
    })
    .await;
    assert!(ended.said.contains("is damaged"), "{ended:?}");
}

#[tokio::test]
async fn cache_file_unreadable() {
    // Not by its mode, which root does not mind.
    let (_laptop, ended) = after_spoiling(|path| {
        fs::remove_file(path).unwrap();
        fs::create_dir(path).unwrap();
    })
    .await;
    assert!(ended.said.contains("not a plain file"), "{ended:?}");
    assert_eq!(ended.said.matches("warning:").count(), 1, "said once: {ended:?}");
}

#[tokio::test]
async fn cache_file_a_symlink() {
    let elsewhere = Laptop::new();
    let target = elsewhere.path("target");
    let (_laptop, ended) = after_spoiling(|path| {
        fs::rename(path, &target).unwrap();
        symlink(&target, path).unwrap();
    })
    .await;
    assert!(ended.said.contains("not a plain file"), "{ended:?}");
    assert!(!ended.stdout.is_empty() && !fs::read_to_string(&target).unwrap().is_empty(), "the target is untouched");
}

#[tokio::test]
async fn cache_file_that_others_can_read() {
    let (laptop, ended) = after_spoiling(|path| {
        fs::set_permissions(path, fs::Permissions::from_mode(0o644)).unwrap();
    })
    .await;
    assert!(ended.said.contains("can be used by others (mode 0644)"), "{ended:?}");
    let mode = fs::metadata(laptop.entry("credentials", "json")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600, "the new one is private");
}

#[tokio::test]
async fn cache_directory_that_others_can_write() {
    let (_laptop, ended) = after_spoiling(|path| {
        fs::set_permissions(path.parent().unwrap(), fs::Permissions::from_mode(0o777)).unwrap();
    })
    .await;
    assert!(ended.said.contains("chmod 700"), "{ended:?}");
}

#[tokio::test]
async fn session_file_truncated_costs_one_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    fs::write(laptop.entry("sessions", "json"), "{").unwrap();
    run.end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn no_place_for_a_cache_is_no_reason_to_fail() {
    let (site, laptop) = (Site::start(), Laptop::new());
    fs::write(laptop.path("file"), "").unwrap();
    let impossible = laptop.path("file/below");
    let run = credential(&laptop, &site).set("LATCHKEY_CACHE_DIR", impossible.to_str().unwrap());
    let ended = run.end_with_login(&site).await;
    ended.credential();
    assert_eq!(ended.said.matches("warning:").count(), 1, "said once: {ended:?}");
}

#[tokio::test]
async fn what_is_kept_is_private_whatever_the_umask() {
    let (site, laptop) = (Site::start(), Laptop::new());
    credential(&laptop, &site).end_with_login(&site).await.credential();
    for directory in ["sessions", "credentials"] {
        let directory = laptop.path("cache").join(directory);
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode(&directory), 0o700);
        for entry in fs::read_dir(&directory).unwrap() {
            assert_eq!(mode(&entry.unwrap().path()), 0o600);
        }
    }
    let kept = fs::read_dir(laptop.path("cache/credentials")).unwrap();
    let extensions = kept.map(|entry| entry.unwrap().path().extension().unwrap().to_owned());
    let mut extensions: Vec<_> = extensions.collect();
    extensions.sort();
    assert_eq!(extensions, ["asked", "idp", "json"], "no temporary file is left");
}

/// A small file system of its own where the cache is, gone with the test.
struct Disk {
    path: PathBuf,
}

impl Disk {
    /// Says so where none can be had: only root may mount.
    fn mount(laptop: &Laptop) -> Option<Self> {
        let path = laptop.path("cache");
        fs::create_dir(&path).unwrap();
        if !mount(&["-t", "tmpfs", "-o", "size=256k,mode=700", "none"], &path) {
            not_run("a disk of its own", "no file system can be mounted here: that takes root");
            return None;
        }
        Some(Self { path })
    }

    fn fill(&self) {
        let filled = fs::write(self.path.join("filler"), vec![b' '; 1024 * 1024]);
        assert_eq!(filled.unwrap_err().kind(), std::io::ErrorKind::StorageFull);
    }

    fn make_room(&self) {
        fs::remove_file(self.path.join("filler")).unwrap();
    }

    fn forbid_writing(&self) {
        assert!(mount(&["-o", "remount,ro"], &self.path));
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _gone = Command::new("umount").arg("--lazy").arg(&self.path).status();
    }
}

fn mount(arguments: &[&str], place: &Path) -> bool {
    let output = Command::new("mount").args(arguments).arg(place).output();
    output.is_ok_and(|output| output.status.success())
}

#[tokio::test]
async fn a_full_disk_is_one_warning_and_no_failed_login() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let Some(disk) = Disk::mount(&laptop) else { return };
    disk.fill();
    let ended = credential(&laptop, &site).end_with_login(&site).await;
    ended.credential();
    assert_eq!(ended.said.matches("warning:").count(), 1, "{ended:?}");
    assert!(ended.said.contains("going on without the cache"), "{ended:?}");
    disk.make_room();
    let ended = credential(&laptop, &site).end_with_login(&site).await;
    ended.credential();
    assert!(!ended.said.contains("warning:"), "nothing half written is in the way: {ended:?}");
    credential(&laptop, &site).end().await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn a_disk_that_fills_up_later_leaves_whole_files() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let Some(disk) = Disk::mount(&laptop) else { return };
    site.behave(|behaviour| (behaviour.id_token_lifetime, behaviour.certificate_lifetime) = (4, 4));
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    disk.fill();
    let ended = run.end().await;
    ended.credential();
    assert_eq!(ended.said.matches("warning:").count(), 1, "{ended:?}");
    disk.make_room();
    // The rotated token had no place: that is a login, and nothing worse.
    run.end_with_login(&site).await.credential();
    assert_eq!(site.seen(|seen| seen.logins), 2);
}

#[tokio::test]
async fn a_read_only_disk_is_one_warning_and_what_is_kept_there_is_used() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let Some(disk) = Disk::mount(&laptop) else { return };
    credential(&laptop, &site).end_with_login(&site).await.credential();
    disk.forbid_writing();
    let warm = credential(&laptop, &site).end().await;
    warm.credential();
    assert_eq!(site.seen(|seen| seen.logins), 1);
    let other = credential(&laptop, &site).with("--scopes=email").end_with_login(&site).await;
    other.credential();
    assert_eq!(other.said.matches("warning:").count(), 1, "{other:?}");
    assert!(other.said.to_lowercase().contains("read-only"), "{other:?}");
}

#[tokio::test]
async fn a_session_of_somebody_else_is_not_used() {
    let (site, laptop) = (Site::start(), Laptop::new());
    let run = credential(&laptop, &site);
    run.end_with_login(&site).await.credential();
    fs::remove_file(laptop.entry("credentials", "json")).unwrap();
    if std::os::unix::fs::chown(laptop.entry("sessions", "json"), Some(12_345), None).is_err() {
        not_run("a session of somebody else", "only root can give a file away");
        return;
    }
    let ended = run.end_with_login(&site).await;
    ended.credential();
    assert_eq!(ended.said.matches("warning:").count(), 1, "{ended:?}");
    assert!(ended.said.contains("belongs to user 12345"), "{ended:?}");
    assert_eq!(site.seen(|seen| seen.logins), 2);
}
