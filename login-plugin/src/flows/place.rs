//! What is really here: a browser, a person who reads, a terminal to type in, or a job that nobody watches.

use crate::browser::Browser;
use crate::environment::Environment;
use crate::platform::System;

/// Variables by which build servers say that a job runs here. `CI` is set by most, and the others not by all versions.
const JOB_MARKS: [&str; 13] = [
    "CI",
    "APPVEYOR",
    "BITBUCKET_BUILD_NUMBER",
    "BUILDKITE",
    "CIRCLECI",
    "CODEBUILD_BUILD_ID",
    "DRONE",
    "GITHUB_ACTIONS",
    "GITLAB_CI",
    "JENKINS_URL",
    "TEAMCITY_VERSION",
    "TF_BUILD",
    "TRAVIS",
];

/// Where we run, as far as a login is concerned.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Place {
    /// The variable by which a build server says that this is one of its jobs.
    pub(crate) job: Option<&'static str>,
    /// The browser that the person named.
    pub(crate) chosen: Option<Browser>,
    /// A browser that would be seen by the person.
    pub(crate) browser: Option<Browser>,
    /// Who reads what we say.
    pub(crate) reader: Reader,
}

/// Who reads what we say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reader {
    /// A person at a terminal that is ours to read from.
    AtTerminal,
    /// A person who sees standard error, and whose keys are not ours (`kubectl apply -f -`).
    Watching,
    /// Nobody, or a program that keeps it for a log or paints over it.
    Nobody,
}

impl Place {
    /// Looks around.
    pub(crate) fn new(environment: &Environment, system: System, reader: Reader) -> Self {
        // A display of Unix may be forwarded over SSH, and is named only then. The other systems always have one; over SSH
        // nobody sits in front of it. With root's rights browsers refuse to start, or start with root's profile.
        let is_remote = ["SSH_CONNECTION", "SSH_CLIENT", "SSH_TTY"].iter().any(|name| environment.text(name).is_some());
        let in_front = (system == System::Unix || !is_remote) && environment.text("SUDO_USER").is_none();
        Self {
            job: JOB_MARKS.into_iter().find(|name| environment.switch(name)),
            chosen: Browser::chosen(environment),
            browser: Browser::of_environment(environment, system, in_front),
            reader,
        }
    }
}
