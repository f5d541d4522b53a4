//! Commands of ours for the person to type, as a shell reads them.

use crate::args::KubectlFlags;

/// `login` for the context that these options mean.
pub(super) fn login(kubectl: &KubectlFlags) -> String {
    let KubectlFlags { cluster, context, kubeconfig, user } = kubectl;
    let kubeconfig = kubeconfig.as_ref().map(|path| path.to_string_lossy());
    let options = [
        ("kubeconfig", kubeconfig.as_deref()),
        ("context", context.as_deref()),
        ("cluster", cluster.as_deref()),
        ("user", user.as_deref()),
    ];
    let typed = options.into_iter().filter_map(|(name, value)| Some(format!(" --{name} {}", quoted(value?))));
    format!("kubectl latchkey login{}", typed.collect::<String>())
}

/// One word for a POSIX shell.
pub(super) fn quoted(text: &str) -> String {
    if !text.is_empty()
        && text.chars().all(|character| character.is_ascii_alphanumeric() || "/._-:@+,".contains(character))
    {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_typed_is_typed_again() {
        assert_eq!(login(&KubectlFlags::default()), "kubectl latchkey login");
        let flags = KubectlFlags {
            kubeconfig: Some("/home/jane/my files/a.yaml".into()),
            context: Some("it's".to_owned()),
            ..KubectlFlags::default()
        };
        let command = "kubectl latchkey login --kubeconfig '/home/jane/my files/a.yaml' --context 'it'\\''s'";
        assert_eq!(login(&flags), command);
    }
}
