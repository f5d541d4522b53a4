//! The test bench: real components as child processes, and the questions a test asks them.
//!
//! | module | what it starts or does |
//! |---|---|
//! | [`control_plane`] | finds or builds etcd, kube-apiserver, kube-controller-manager, kubectl |
//! | [`cluster`] | a control plane of its own, several side by side |
//! | [`node`] | the same with a node: containers run, pods get addresses |
//! | [`concierge`], [`programs`] | our own programs, installed and run as a user would |
//! | [`image`] | the concierge's container image |
//! | [`installed`], [`inventory`] | Latchkey as pods, and every object of a cluster |
//! | [`ansible`], [`definitions`], [`in_cluster`] | what the examples of `deploy/` are made for: Ansible, kinds of others, programs of pods |
//! | [`deploygen`] | what in `deploy/` is written from the chart and other sources |
//! | [`exchange`] | the exchange on the wire, without the plugin |
//! | [`review`] | certificates and flags of the `TokenReview` webhook |
//! | [`clients`] | Kubernetes clients beside kubectl: Go, Java, JavaScript, Python, Rust |
//! | [`site`], [`person`] | a cluster with all of it, and somebody at a laptop |
//! | [`conformance`] | what kube-apiserver says of a token, beside what we say |
//! | [`issuer`] | an identity provider of ours that misbehaves on command |
//! | [`oidc_provider`], [`keycloak`], [`dex`] | three that are not ours |
//! | [`guide`] | the blocks of a page, for a test that follows it |
//! | [`login`], [`browser`] | somebody who logs in, without and with a browser |
//! | [`relying_party`] | an OIDC client for tests that need no plugin |
//! | [`prometheus`] | Prometheus and promtool, with the rules that we ship |
//! | [`logql`] | Loki's parser and pipeline, for the questions that we ship |
//! | [`webhook`] | a server that judges opaque tokens |
//! | [`child`] | child processes that die with the test |
//! | [`folder`], [`ports`], [`place`] | a place for files and a place to listen |
//! | [`terminal`] | what may be printed at somebody's terminal |
//! | [`tools`] | command line tools of others, built from pinned modules |
//! | [`nushell`] | a shell that Debian does not have |
//! | [`rbac_use`] | which of its rights the concierge has used |
//! | [`leak`] | whether a token was written down |
//! | [`verifier`] | the audit log's verifier, as an auditor runs it |
//! | [`wait`] | the only place where anything here waits for a condition |
//!
//! Everything listens on the loopback only, or in a network that only this machine reaches, and nothing outlives the process that started it.

pub mod ansible;
pub mod browser;
mod cache;
pub mod child;
pub mod clients;
pub mod cluster;
pub mod concierge;
pub mod conformance;
pub mod control_plane;
pub mod definitions;
pub mod deploygen;
pub mod dex;
pub mod exchange;
pub mod folder;
mod go;
pub mod guide;
mod held;
pub mod image;
pub mod in_cluster;
pub mod installed;
pub mod inventory;
pub mod issuer;
pub mod keycloak;
pub mod leak;
pub mod login;
pub mod logql;
pub mod node;
pub mod not_run;
mod npm;
pub mod nushell;
pub mod oidc_provider;
pub mod person;
pub mod place;
pub mod ports;
pub mod programs;
pub mod prometheus;
pub mod rbac_use;
pub mod records;
pub mod relying_party;
pub mod review;
pub mod site;
pub mod terminal;
pub mod tools;
pub mod verifier;
pub mod wait;
pub mod webhook;

/// Makes aws-lc-rs the process' TLS provider; safe to call from every test.
///
/// rustls refuses to guess when it cannot see exactly one provider, and a test binary does not choose what its
/// dependencies turn on.
pub fn install_crypto() {
    // An error only says that somebody was first, which is what we want.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
}
