//! Latchkey's concierge: judges JWTs for one cluster and exchanges good ones for short-lived credentials.
//!
//! # Code map, in the order a request travels
//!
//! ```text
//! bytes -> secret::BearerToken -> jwt::RawJwt -> jwt::SignedPayload -> jwt::VerifiedClaims -> mapping::User
//!       -> policy::Permit -> strategies -> credential::Credential -> audit::event::Event -> audit::sink
//! ```
//!
//! | room | duty | kind |
//! |---|---|---|
//! | `time`, `secret`, `text` | a point in time; a token nobody can print; strangers' text made fit to be shown | pure |
//! | `fleet` | the clusters of the fleet: which of them owns an audience, and is ours ours alone? | pure |
//! | `jwt` | judge one token against one verifier: one file a step | pure |
//! | `cel` | Kubernetes' CEL: expressions over claims and users, checked, and bounded in cost | pure |
//! | `token_review` | the `TokenReview` API as bytes, in both its versions | pure |
//! | `mapping` | verified claims to a user, and which names no issuer may give | pure |
//! | `policy` | may this user hold a certificate? | pure |
//! | `index` | the authenticators in force: one writer, many readers, whole snapshots | state |
//! | `authn` | the sentence: token, authenticator, snapshot, now, in; verdict out | pure |
//! | `verdicts` | the cache of verified tokens | state |
//! | `credential` | what a credential is: PKCS#10 in, certificate out, how long it lives | pure |
//! | `strategies` | who signs: the cluster's CSR API or our own CA | doors |
//! | `audit` | what is recorded (`event`, pure), tied together and signed (`chain`, `checkpoint`, pure), and where it goes (`sink`, a door); whether a log is still what was written (`verify`, pure) and what it says (`show`, pure), by command (`commands`, `read`, `follow`, doors); what of it is shown in the cluster (`rejections`, a door) | both |
//! | `convert` | custom resources to verifiers and rules; errors become conditions | pure in fact, knows `crds` |
//! | `idp` | discovery and key sets over the network | doors |
//! | `webhook` | asks the server of a `WebhookAuthenticator`: the only room that sends a token anywhere | doors |
//! | `distributed` | claims that a token only refers to: fetched, verified, and the token judged once more | doors |
//! | `controllers` | observe, plan, act: custom resources, certificates, status | doors |
//! | `tls` | the serving certificate, from one authority to the next, client certificates handed to the request layer, and the one watcher of the files that both come from | doors |
//! | `api` | the aggregated API server: thin handlers, one room for answers | doors |
//! | `check` | `latchkey-concierge check`: files in, every step of the verdict out, by the same judge | doors |
//! | `self_test` | `latchkey-concierge self-test`: asks the API server, as anybody may, whether all this answers and refuses | doors |
//! | `migrate` | `latchkey-concierge convert`: what kube-apiserver or Pinniped is told about issuers, in our words, and back. (`convert` is the other way into the house: our words to what judges.) | doors (`sources`); the rest pure |
//! | `review` | the `TokenReview` webhook for kube-apiserver: thin, asks all authenticators of an issuer | doors |
//! | `runtime` | readiness, shutdown, lease, logs, metrics, probes: no domain words | doors |
//! | `args`, `config`, `app` | flags as typed, as meant, and the composition root | doors |
//!
//! # Where this house departs from its plan, and why
//!
//! * `jsonwebtoken` verifies nothing here. Its `crypto::verify` clones and parses the key for every token (1.16 of the bare
//!   verification, where the goal for all of the judging is 1.5), cannot say
//!   ES512 and reads EC keys without a length check; `jwt::signature` asks aws-lc-rs with keys parsed once per key set.
//!   The crate stays as the second opinion of the differential tests (`tests/differential.rs`).
//! * `policy` and `credential` are joined by `strategies`, a room with doors, because the cluster's own signer is
//!   reached over the network: a pure `credential` could not mint by it.
//!
//! # Without an API server
//!
//! With `--authenticators DIR` the objects come from files (`controllers::authenticators::files`) as whole listings in the
//! stream that watches of the API feed otherwise. With neither a kubeconfig nor a service account there is no API server:
//! `app::cluster` is left out whole, and `review` is the only way in. What would stand in a status is logged, and shown by
//! the admin listener.
//!
//! # Invariants (kept by `tests/architecture.rs`)
//!
//! 1. Pure rooms never name a runtime, a socket, a file, a clock or `async fn`.
//! 2. Rooms import only what the table in the test allows.
//! 3. Every file under `src/` is reached by a `mod` line and opens with its duty.
//! 4. Only `jwt/signature.rs` and `jwt/keys.rs` verify; nothing in `src/` names `jsonwebtoken`; only `convert`,
//!    `controllers`, `api`, `args`, `config` and `self_test` name the API types.
//! 5. Nothing is minted without a [`policy::Permit`], and no permit exists without verified claims.
//!
//! # What a spec change promises
//!
//! The index shows a generation before its status says so: the controllers' task changes the index, and only then writes
//! `observedGeneration`. An exchange that was judged before looks at the index once more after its credential was made,
//! so a slow signer hands out nothing of an old spec, a withdrawn key or a deleted authenticator. Of several replicas the
//! one that leads writes the status: for its own exchanges the promise is exact. Another replica follows by its own watch,
//! and until that event arrives (milliseconds; as long as it takes to list again after a watch broke) it judges by the
//! spec before. The fleet list is no spec, and follows the same road: each replica watches it, plans every authenticator
//! anew, and what was judged by the list before is neither remembered nor handed out.

pub mod fleet;
pub mod secret;
pub mod text;
pub mod time;

pub mod cel;
pub mod jwt;
pub mod mapping;
pub mod policy;
pub mod token_review;

pub mod index;

pub mod authn;
pub mod verdicts;

pub mod audit;

pub mod credential;
pub mod strategies;

pub mod convert;
pub mod idp;
pub mod webhook;

pub mod distributed;

pub mod controllers;

pub mod runtime;
pub mod tls;

pub mod api;
pub mod check;
pub mod migrate;
pub mod review;
pub mod self_test;

pub mod app;
pub mod args;
pub mod config;
