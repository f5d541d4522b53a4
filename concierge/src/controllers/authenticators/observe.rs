//! What the authenticators' task takes in: events of its watches, a folder's word, reports of keepers, answers to writes.

use kube::runtime::watcher;
use tokio::time::Instant;

use super::{
    Authenticators, Written,
    files::Listing,
    records::Read,
    watches::{Kind, Seen},
};
use crate::{controllers::jwt_authenticator::keeper::KeeperReport, convert::ManifestKind, index::RefreshRequest};

impl Authenticators {
    pub(super) fn observe(&mut self, seen: Seen) {
        match seen {
            Seen::Fleet(Ok(event)) => {
                let changed = self.fleet.observe(event);
                self.fleet_changed(changed);
            }
            Seen::Fleet(Err(error)) => {
                let changed = self.fleet.failed(&error);
                self.fleet_changed(changed);
            }
            Seen::Folder(listing) => self.observe_folder(listing),
            Seen::Object(kind, Ok(event)) => {
                let now = self.clock.now();
                let changed = self.objects.of_mut(kind).observe(event, now);
                self.dirty.extend(changed.into_iter().map(|name| (kind, name)));
                self.note_listed();
            }
            Seen::Object(kind, Err(error)) => {
                let (kind, error) = (kind.name(), &error as &dyn std::error::Error);
                tracing::warn!(kind, error, "Watch failed, trying again");
            }
            Seen::Secret(Ok(event)) => {
                if self.bundles.observe(true, event) {
                    self.touch_all();
                }
            }
            Seen::ConfigMap(Ok(event)) => {
                if self.bundles.observe(false, event) {
                    self.touch_all();
                }
            }
            Seen::Secret(Err(error)) => self.bundle_watch_failed(true, &error),
            Seen::ConfigMap(Err(error)) => self.bundle_watch_failed(false, &error),
        }
    }

    fn observe_folder(&mut self, listing: Listing) {
        let Listing { declared, wrong } = listing;
        self.metrics.authenticator_files_wrong(wrong.len());
        if let Some(conditions) = &self.conditions {
            conditions.wrong(wrong);
        }
        let now = self.clock.now();
        let (mut fleet, mut jwt, mut webhook) = (Vec::new(), Vec::new(), Vec::new());
        for declared in declared {
            match declared.kind {
                ManifestKind::Fleet => fleet.push((declared.name, declared.spec)),
                ManifestKind::Jwt => jwt.push(declared),
                ManifestKind::Webhook => webhook.push(declared),
            }
        }
        let changed = self.fleet.replace(fleet);
        self.fleet_changed(changed);
        for (kind, declared) in [(Kind::Jwt, jwt), (Kind::Webhook, webhook)] {
            let changed = self.objects.of_mut(kind).replace(declared, now);
            self.dirty.extend(changed.into_iter().map(|name| (kind, name)));
        }
        self.note_listed();
    }

    /// Every authenticator is planned anew before anything else is taken in: the index follows the list at once.
    fn fleet_changed(&mut self, changed: bool) {
        if let Some(news) = self.fleet.take_news() {
            self.notices.fleet_changed(&news, self.clock.now());
        }
        if changed {
            self.metrics.fleet_members(self.fleet.len());
            self.dirty.extend(self.objects.jwt.names().map(|name| (Kind::Jwt, name.clone())));
        }
        self.note_listed();
    }

    fn note_listed(&mut self) {
        let listed = self.objects.jwt.listed() && self.objects.webhook.listed() && self.fleet.is_known();
        if self.listed_at.is_none() && listed {
            self.listed_at = Some(Instant::now());
        }
    }

    fn bundle_watch_failed(&mut self, secret: bool, error: &watcher::Error) {
        let kind = if secret { "Secret" } else { "ConfigMap" };
        tracing::warn!(kind, error = error as &dyn std::error::Error, "Watch failed, trying again");
        self.bundles.watch_failed(secret, error.to_string());
        self.touch_all();
    }

    pub(super) fn reported(&mut self, report: KeeperReport) {
        let KeeperReport { keeper, report, results, answers } = report;
        // All of them before anybody is answered, for a fetch is one for all authenticators of its source.
        for name in self.members.reported(keeper, report) {
            for result in &results {
                self.metrics.keys_fetch(&name, result);
            }
            self.settle_one(Kind::Jwt, &name);
        }
        // Only now: who judges again must find the new keys in the index.
        for (request, changed) in answers {
            request.answer(changed);
        }
    }

    pub(super) fn record_read(&mut self, read: Read) {
        let name = read.name().to_owned();
        if let Some(last) = self.records.read(read, self.clock.now(), Instant::now()) {
            self.members.remember(&name, last);
        }
        // Only now it is known whether what was fetched meanwhile is to be kept.
        self.dirty.insert((Kind::Jwt, name));
    }

    pub(super) fn forward(&self, request: RefreshRequest) {
        if let Err(request) = self.members.forward(request) {
            request.answer(false);
        }
    }

    pub(super) fn written(&mut self, written: Written) {
        let Written { kind, name, outcome } = written;
        let failed = match outcome {
            Ok(Some(object)) => {
                let now = self.clock.now();
                self.objects.of_mut(kind).answered(object, now);
                false
            }
            // Gone; the watch will say so.
            Ok(None) => false,
            Err(error) => {
                let (object, error) = (name.as_str(), &error as &dyn std::error::Error);
                tracing::warn!(kind = kind.name(), object, error, "Cannot write status, trying again");
                true
            }
        };
        self.members.wrote(kind, &name, failed, Instant::now());
        self.dirty.insert((kind, name));
    }

    pub(super) fn touch_all(&mut self) {
        for kind in [Kind::Jwt, Kind::Webhook] {
            self.dirty.extend(self.objects.of(kind).names().map(|name| (kind, name.clone())));
        }
    }
}
