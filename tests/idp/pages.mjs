// The pages on which a person signs in, by a device's code as well, and the one that says why not.

// No scripts, nothing from elsewhere. There is no form-action: Chromium applies it to the redirect after the form as well,
// which goes to the client's loopback port.
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; frame-ancestors 'none'";

export const HEADERS = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'content-security-policy': POLICY,
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
};

const STYLE = `
:root { color-scheme: light dark; --ink: #22201c; --soft: #6b655b; --paper: #fffdf9; --ground: #f3efe7; --line: #d5cdbf; --key: #0f6b4f; --alarm: #a3231f }
@media (prefers-color-scheme: dark) {
  :root { --ink: #ece8e0; --soft: #b0a899; --paper: #24221e; --ground: #171613; --line: #4a453c; --key: #6fd0ac; --alarm: #ff9d96 } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem; background: var(--ground); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif }
main { width: 100%; max-width: 24rem; padding: 2.25rem 2rem; background: var(--paper); border-top: 5px solid var(--key); border-radius: 6px }
h1 { margin: 0 0 .25rem; font-size: 1.4rem; line-height: 1.25 }
p { margin: 0 0 1.5rem; color: var(--soft) }
strong { color: var(--ink) }
label { display: block; margin-bottom: .3rem; font-weight: 600; font-size: .9rem }
input { width: 100%; margin-bottom: 1.1rem; padding: .65rem .75rem; border: 1px solid var(--line); border-radius: 4px;
  background: var(--ground); color: inherit; font: inherit }
button { width: 100%; padding: .7rem; border: 0; border-radius: 4px; background: var(--key); color: var(--paper); font: inherit; font-weight: 650; cursor: pointer }
input:focus-visible, button:focus-visible { outline: 3px solid var(--key); outline-offset: 2px }
[role=alert] { margin-bottom: 1.25rem; color: var(--alarm); font-weight: 550 }
footer { margin-top: 1.5rem; color: var(--soft); font-size: .8rem }`;

// The form for `client`; `failed` is the user name of an attempt that did not succeed.
export function signIn(client, failed) {
  const alarm = failed === undefined ? '' : '<p role="alert">User name or password is wrong.</p>';
  return page('Sign in', `<h1>Sign in</h1>
<p>to continue to <strong>${escape(client)}</strong></p>
${alarm}
<form method="post">
<label for="login">User name</label>
<input id="login" name="login" autocomplete="username" autocapitalize="none" spellcheck="false" value="${escape(failed ?? '')}" required autofocus>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit" id="sign-in">Sign in</button>
</form>
<footer>oidc-provider, an identity provider for tests. It runs on this machine only.</footer>`);
}

// `form` holds the field for the code; `alarm` is what was wrong with the last one.
export function enterCode(form, alarm) {
  return page('Enter the code', `<h1>Enter the code</h1>
<p>that your other device shows</p>
${alarm ? `<p role="alert">${escape(alarm)}</p>` : ''}
${form}
<button type="submit" id="continue" form="op.deviceInputForm">Continue</button>`);
}

export function compareCode(form, client, code) {
  return page('Compare the code', `<h1>Does your other device show this code?</h1>
<p><strong id="code">${escape(code)}</strong>, for <strong>${escape(client)}</strong>. Go on only if you asked for it yourself.</p>
${form}
<button type="submit" id="continue" form="op.deviceConfirmForm">Yes, continue</button>`);
}

export function deviceDone() {
  return page('Signed in', '<h1>You are signed in</h1>\n<p>on your other device. This page can be closed.</p>');
}

export function failure(reason) {
  return page('Sign-in refused', `<h1>This sign-in cannot go on</h1>\n<p role="alert">${escape(reason)}</p>`);
}

function page(title, content) {
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${title}</title>
<style>${STYLE}</style>
</head>
<body>
<main>
${content}
</main>
</body>
</html>
`;
}

function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
