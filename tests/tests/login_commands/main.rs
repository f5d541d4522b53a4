//! The plugin's commands as a person types them, through the real kubectl: two clusters with a concierge each, npm's
//! `oidc-provider`, and somebody at a laptop.

mod doctor;
mod people;
mod place;
mod refusals;
mod without_browser;

use anyhow::Result;

use self::place::Place;

// One after the other in one place: it takes longer to build than most of them.
#[tokio::test]
async fn every_command_does_in_a_real_place_what_it_says() -> Result<()> {
    let mut place = Box::pin(Place::start()).await?;
    people::kubeconfigs_are_written_for_one_cluster_and_for_all(&place).await?;
    people::a_context_is_merged_into_a_file_with_comments(&place).await?;
    doctor::before_the_first_login_all_is_well(&place).await?;
    people::a_login_is_made_shown_and_used(&place).await?;
    people::a_token_tells_what_is_in_it_and_not_itself(&place).await?;

    refusals::a_login_that_goes_astray_is_not_sent(&place).await?;
    refusals::a_token_of_another_cluster_is_explained_by_its_audit_id(&place).await?;
    refusals::a_reserved_name_is_explained_by_its_audit_id(&place).await?;

    without_browser::a_code_lets_in_where_no_browser_is(&place).await?;
    without_browser::a_job_brings_a_token_of_the_provider_to_the_kubeconfig_of_people(&place).await?;
    without_browser::a_job_brings_a_token_of_the_cluster_itself(&place).await?;
    without_browser::settings_stand_beside_the_cluster(&place).await?;
    without_browser::what_the_doctor_says_about_kubectls_policy_works(&place).await?;

    people::a_logout_is_one_at_the_provider_too(&place).await?;
    people::all_logins_are_forgotten_at_once(&place).await?;

    doctor::each_trouble_is_found_where_it_is(&mut place).await?;
    doctor::a_provider_that_is_gone_is_found(place).await
}
