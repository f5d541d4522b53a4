//! The virtual resource of the exchange: a token in, a credential for this cluster out. Nothing of it is ever stored.

mod token_credential_request;

pub use token_credential_request::{
    ClusterCredential, ExpectedSubject, KIND, LIST_KIND, ListMeta, PLURAL, TokenCredentialRequest,
    TokenCredentialRequestList, TokenCredentialRequestSpec, TokenCredentialRequestStatus, TypedLocalObjectReference,
};
