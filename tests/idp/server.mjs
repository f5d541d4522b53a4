// Starts oidc-provider on the loopback for a test. Its one argument is a JSON file of settings:
//   certificate, key    paths of the TLS certificate and key, PEM
//   tokenSeconds        how long ID tokens live
//   clients             [{ id, algorithm }]: public native clients; algorithm is that of their ID tokens
//   users               [{ name, password, email, groups }]
// Once it listens it prints one line, {"issuer": "https://127.0.0.1:PORT"}, and serves until it is killed.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import { Provider, interactionPolicy } from 'oidc-provider';

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const users = new Map(settings.users.map((user) => [user.name, user]));

// A login form has two short fields.
const MOST_FORM_BYTES = 4096;

const server = createServer({ cert: readFileSync(settings.certificate), key: readFileSync(settings.key) });
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}`;
  const provider = new Provider(issuer, configuration());
  const oidc = provider.callback();
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) {
      oidc(request, response);
      return;
    }
    interact(provider, request, response).catch((error) => {
      console.error(error);
      page(response, 500, `<p role="alert">${escape(error.message)}</p>`);
    });
  });
  console.log(JSON.stringify({ issuer }));
});

function configuration() {
  return {
    clients: settings.clients.map(({ id, algorithm }) => ({
      client_id: id,
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      id_token_signed_response_alg: algorithm,
      // RFC 8252 7.3: the provider lets any port pass on loopback addresses of native clients.
      redirect_uris: ['http://127.0.0.1/callback', 'http://[::1]/callback', 'http://localhost/callback'],
    })),
    claims: { openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'], groups: ['groups'] },
    scopes: ['openid', 'offline_access'],
    // Claims in the ID token itself, not only at the userinfo endpoint: Kubernetes never asks the latter.
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    jwks: { keys: keys() },
    cookies: { keys: [randomBytes(32).toString('base64url')] },
    features: { devInteractions: { enabled: false } },
    interactions: { policy: policy(), url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    // Without this it wants prompt=consent before it believes in offline_access.
    issueRefreshToken: async (_ctx, client, code) => client.grantTypeAllowed('refresh_token') && code.scopes.has('openid'),
    ttl: { IdToken: settings.tokenSeconds, AccessToken: settings.tokenSeconds, Grant: 86400, Interaction: 600, RefreshToken: 86400, Session: 86400 },
    findAccount: (_ctx, name) => {
      const user = users.get(name);
      return user && { accountId: name, claims: () => claims(user) };
    },
    // The clients are the administrator's own: nobody is asked to agree.
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ accountId: ctx.oidc.session.accountId, clientId: ctx.oidc.client.clientId });
      grant.addOIDCScope('openid email profile groups offline_access');
      await grant.save();
      return grant;
    },
  };
}

// A native client could be anybody's program, so the provider would have people agree each time (RFC 8252 8.6). A test has
// nobody to agree, and the login page is what it is about.
function policy() {
  const base = interactionPolicy.base();
  base.get('consent').checks.remove('native_client_prompt');
  return base;
}

function claims({ name, email, groups }) {
  return { sub: name, name, preferred_username: name, email, email_verified: true, groups };
}

function keys() {
  const make = (type, options, alg) => ({
    ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }),
    alg,
    use: 'sig',
    kid: randomBytes(8).toString('hex'),
  });
  return [
    make('rsa', { modulusLength: 2048 }, 'RS256'),
    make('rsa', { modulusLength: 2048 }, 'PS256'),
    make('ec', { namedCurve: 'P-256' }, 'ES256'),
    make('ed25519', {}, 'EdDSA'),
  ];
}

async function interact(provider, request, response) {
  const { prompt, params } = await provider.interactionDetails(request, response);
  if (prompt.name !== 'login') {
    throw new Error(`nobody is here to answer the prompt ${prompt.name}`);
  }
  if (request.method !== 'POST') {
    page(response, 200, form(params.client_id));
    return;
  }
  const fields = new URLSearchParams(await body(request));
  const user = users.get(fields.get('login'));
  if (!user || user.password !== fields.get('password')) {
    page(response, 401, `<p role="alert">User name or password is wrong.</p>${form(params.client_id)}`);
    return;
  }
  await provider.interactionFinished(request, response, { login: { accountId: user.name } }, { mergeWithLastSubmission: false });
}

async function body(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MOST_FORM_BYTES) {
      throw new Error('the form is too big');
    }
  }
  return text;
}

function form(client) {
  return `<h1>Sign in</h1><p>to continue to <strong>${escape(client)}</strong></p>
<form method="post">
<label>User name <input name="login" autocomplete="username" required autofocus></label>
<label>Password <input name="password" type="password" autocomplete="current-password" required></label>
<button id="sign-in">Sign in</button>
</form>`;
}

function page(response, status, content) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8', 'cache-control': 'no-store' });
  response.end(`<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Sign in</title>
<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:22rem;margin:4rem auto}label{display:block;margin:.8rem 0}input{display:block;width:100%;padding:.5rem}</style>
</head><body>${content}</body></html>`);
}

function escape(text) {
  return String(text).replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}
