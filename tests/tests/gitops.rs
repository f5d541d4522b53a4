//! What teams copy into their repositories: Kustomize, Flux, Argo CD, Ansible, sealed secrets. Nothing in it is only on paper:
//! every object is put before a real API server, and what other programs do with it is done by those programs.

#[path = "gitops/accepted.rs"]
mod accepted;
#[path = "gitops/files.rs"]
mod files;
#[path = "gitops/flux.rs"]
mod flux;
#[path = "gitops/site.rs"]
mod site;
#[path = "gitops/tree.rs"]
mod tree;
