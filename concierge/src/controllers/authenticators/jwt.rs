//! What the authenticators' task does for a `JWTAuthenticator`: it gathers what is known of it, has it planned, and
//! carries the plan out.

use std::{collections::BTreeSet, sync::Arc};

use tokio::time::Instant;

use super::{
    Authenticators,
    members::{Publish, Shown},
    notices::Sight,
    records, twins,
    watches::Kind,
};
use crate::{
    controllers::jwt_authenticator::{self, Observed, Trust, Word},
    convert::{BundleObject, BundleSource, TlsProblem},
    index::{Authenticator, AuthenticatorKind, AuthenticatorName, AuthenticatorRef, Entry, Unready},
};

impl Authenticators {
    pub(super) fn settle_jwt(&mut self, name: &str) {
        self.tell_twins(name);
        let Some(object) = self.objects.jwt.get(name) else { return };
        let now = self.clock.now();
        let authenticator = AuthenticatorName::new(name);
        let trust = self.trust(object.jwt.as_ref().ok().map(|spec| &spec.trust));
        // Twice at most: the first plan may call for a keeper, and a keeper without a client is worth a word at once.
        let plan = loop {
            let observed = Observed {
                name: &authenticator,
                uid: &object.uid,
                generation: object.generation,
                spec: &object.jwt,
                trust: &trust,
                asked: self.members.asked(name),
                cluster: self.fleet.view(self.twins.of(name)),
                status: &object.status,
                seen_at: object.seen_at,
            };
            let plan = jwt_authenticator::plan(&observed, now);
            if !self.members.ask(&authenticator, plan.source.as_ref()) {
                break plan;
            }
        };
        let (uid, generation) = (object.uid.clone(), object.generation);
        let siblings = self.fleet.siblings();
        let shown = Shown { uid: &uid, generation, siblings, admits: plan.admit.is_some() };
        let publish = self.members.shall_publish(name, &shown);
        if publish == Publish::Aloud {
            match &plan.obstacle {
                None => tracing::info!(authenticator = name, generation, "Authenticator ready"),
                Some(obstacle) => tracing::info!(authenticator = name, generation, obstacle, "Authenticator not ready"),
            }
        }
        let pending = plan.again_in.is_some() && plan.admit.is_none();
        self.notices.seen(
            &Sight {
                kind: Kind::Jwt,
                name,
                uid: &uid,
                generation,
                status: plan.status.as_ref().unwrap_or(&object.status),
                admits: (!pending).then_some(plan.admit.is_some()),
                keys: plan.admit.as_ref().map(|admit| admit.verifier.keys()),
                is_news: *self.synced.borrow(),
            },
            now,
        );
        self.metrics.authenticator_ready(name, plan.admit.is_some());
        let wanted = plan.admit.as_ref().is_some_and(|admit| admit.rules.distributed.is_some());
        let other_client = self.claims.keep(name, wanted, &trust);
        if publish != Publish::No {
            let siblings: Vec<_> = self.fleet.siblings().names().map(ToString::to_string).collect();
            self.metrics.cross_cluster_expected(name, &siblings);
        }
        if publish != Publish::No || other_client {
            let issuer = object.issuer.clone();
            let reference = AuthenticatorRef { kind: AuthenticatorKind::JWTAuthenticator, name: authenticator };
            match plan.admit {
                Some(admit) => {
                    let admit = Authenticator { claims: self.claims.of(name), ..admit };
                    self.index.set(reference, Entry::Ready(Arc::new(admit)));
                }
                None => self.index.set_not_ready(Unready::new(reference, &object.uid, generation), issuer),
            }
        }
        // Here and not at each report: an authenticator that joins others of its source has keys of some age at once.
        self.metrics.keys(name, plan.keys);
        self.records.keep(name, &object.uid, plan.source.as_ref(), Instant::now());
        self.keep_keys(name);
        self.members.again_in(Kind::Jwt, name, plan.again_in);
        self.write(Kind::Jwt, name, uid, plan.status);
    }

    /// Finds out which other authenticators of this cluster take the same tokens as `name`, and has those planned anew to
    /// which it is news.
    fn tell_twins(&mut self, name: &str) {
        let twins = self.objects.jwt.get(name).and_then(|object| object.jwt.as_ref().ok()).map(|own| {
            let others =
                self.objects.jwt.entries().filter_map(|(name, object)| Some((name, object.jwt.as_ref().ok()?)));
            twins::find(name, own, others)
        });
        let news = self.twins.set(name, twins.unwrap_or_default());
        self.dirty.extend(news.into_iter().map(|twin| (Kind::Jwt, twin)));
    }

    /// Has the keys of `name` kept, if they are newer than those that are, and if this replica leads: the others would
    /// only write the same.
    fn keep_keys(&mut self, name: &str) {
        let Some((_, Word::Report(report))) = self.members.asked(name) else { return };
        if !self.leadership.is_leader() {
            self.unwritten = true;
            return;
        }
        let Some(secrets) = self.secrets() else { return };
        if let Some(record) = self.records.take_write(name, report, Instant::now()) {
            let permits = Arc::clone(&self.write_permits);
            self.record_writes.push(Box::pin(async move {
                // The semaphore is never closed.
                let _permit = permits.acquire().await;
                records::write(secrets, record).await
            }));
        }
    }

    pub(super) fn trust(&self, source: Option<&Result<BundleSource, TlsProblem>>) -> Trust {
        match source {
            // Nobody is asked while the spec cannot be read; what is said of its trust roots is that nothing is known.
            None => Trust::Loading,
            Some(Ok(BundleSource::System)) => Trust::System,
            Some(Ok(BundleSource::Inline(bundle))) => Trust::Bundle(bundle.clone()),
            Some(Ok(BundleSource::Object(object))) => self.bundles.trust(object),
            Some(Err(problem)) => Trust::Problem(problem.clone()),
        }
    }

    pub(super) fn wanted_bundles(&self) -> BTreeSet<BundleObject> {
        let (jwt, webhook) = (&self.objects.jwt, &self.objects.webhook);
        let of_jwt = jwt.all().filter_map(|object| object.jwt.as_ref().ok()?.trust.as_ref().ok());
        let of_webhook = webhook.all().filter_map(|object| object.webhook.as_ref().ok()?.trust.as_ref().ok());
        of_jwt
            .chain(of_webhook)
            .filter_map(|source| match source {
                BundleSource::Object(object) => Some(object.clone()),
                BundleSource::Inline(_) | BundleSource::System => None,
            })
            .collect()
    }
}
