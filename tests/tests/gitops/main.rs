//! What teams copy into their repositories: Kustomize, Flux, Argo CD, Ansible, sealed secrets. Nothing in it is only on paper:
//! every object is put before a real API server, and what other programs do with it is done by those programs.

mod accepted;
mod files;
mod flux;
mod pages;
mod site;
mod tree;
