//! The whole command, run as kubectl runs it, against a TLS server of the tests' own making.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod background;
mod cache;
mod checklist;
mod crowd;
mod device;
mod doctor;
mod exchange;
mod fleet_check;
mod keyring;
mod killed;
mod kubeconfig;
mod kubeconfig_fleet;
mod kubeconfig_from;
mod login;
mod not_run;
mod people;
mod people_completion;
mod people_explain;
mod people_login;
mod people_logout;
mod people_token;
mod pinniped;
mod pinniped_supervisor;
mod plugin;
mod protocol;
mod provider;
mod refresh;
mod rejections;
mod requests;
mod site;
mod snapshots;
mod successes;
mod surroundings;
mod terminal;
mod workload;
