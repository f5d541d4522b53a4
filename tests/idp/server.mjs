// Starts oidc-provider on the loopback for a test. Its one argument is a JSON file of settings:
//   certificate, key      paths of the TLS certificate and key, PEM
//   tokenSeconds          how long ID tokens live
//   refreshNeedsConsent   whether a refresh token takes scope offline_access together with prompt=consent
//   issuerPath            what follows host and port in the issuer
//   redirects             redirect addresses of every client, compared to the letter; empty: any port on the loopback
//   claims                { name: value } in every ID token, whoever it is about
//   clients               [{ id, algorithm }]: public native clients, by browser or by device code; algorithm is that of
//                         their ID tokens
//   users                 [{ name, password, subject, email, groups }]
// Once it listens it prints one line, {"issuer": "https://127.0.0.1:PORT" and issuerPath}, and serves until it is killed.
// At SIGHUP it makes a new key of each family and signs with it from then on, publishes the ones before beside it, withdraws
// those before them, and prints {"rotated": COUNT}.

import { Console } from 'node:console';
import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:https';

import { HEADERS, compareCode, deviceDone, enterCode, failure, signIn } from './pages.mjs';

// Standard output carries the one line; what oidc-provider has to say, already while it is loaded, is for the log.
globalThis.console = new Console(process.stderr, process.stderr);
const { Provider } = await import('oidc-provider');

const settings = JSON.parse(readFileSync(process.argv[2], 'utf8'));

// A login form has two short fields.
const MOST_FORM_BYTES = 4096;

const DAY_SECONDS = 24 * 60 * 60;

// How many keys there are of one age: see keys().
const FAMILIES = 4;

const cookieKey = randomBytes(32).toString('base64url');

const server = createServer({ cert: readFileSync(settings.certificate), key: readFileSync(settings.key) });
server.listen(0, '127.0.0.1', () => {
  const issuer = `https://127.0.0.1:${server.address().port}${settings.issuerPath}`;
  // What oidc-provider must not see of a path: the slash at its end belongs to what follows.
  const mount = settings.issuerPath.replace(/\/$/, '');
  let published = keys();
  let provider;
  let oidc;
  // oidc-provider takes its keys once: other keys are another provider. Sessions and grants are kept outside of it.
  const renew = () => {
    provider = new Provider(issuer, configuration(published));
    if (settings.redirects.length > 0) {
      // Native clients get any port otherwise, as RFC 8252 7.3 wants it, and as many providers do not.
      provider.Client.prototype.redirectUriAllowed = function allowed(uri) {
        return this.redirectUris.includes(uri);
      };
    }
    oidc = provider.callback();
  };
  renew();
  let rotated = 0;
  process.on('SIGHUP', () => {
    published = [...keys(), ...published].slice(0, 2 * FAMILIES);
    renew();
    rotated += 1;
    process.stdout.write(`${JSON.stringify({ rotated })}\n`);
  });
  server.on('request', (request, response) => {
    if (!request.url.startsWith('/interaction/')) {
      if (mount && request.url.startsWith(`${mount}/`)) {
        request.originalUrl = request.url;
        request.url = request.url.slice(mount.length);
      }
      oidc(request, response);
      return;
    }
    interact(provider, request, response).catch((error) => {
      console.error(error);
      response.writeHead(error.statusCode ?? 500, HEADERS).end(failure(error.message));
    });
  });
  process.stdout.write(`${JSON.stringify({ issuer })}\n`);
});

function configuration(published) {
  return {
    clients: settings.clients.map(({ id, algorithm }) => ({
      client_id: id,
      application_type: 'native',
      token_endpoint_auth_method: 'none',
      grant_types: ['authorization_code', 'refresh_token', 'urn:ietf:params:oauth:grant-type:device_code'],
      response_types: ['code'],
      id_token_signed_response_alg: algorithm,
      // RFC 8252 7.3: the provider lets any port pass on loopback addresses of native clients.
      redirect_uris: settings.redirects.length > 0
        ? settings.redirects
        : ['http://127.0.0.1/callback', 'http://[::1]/callback', 'http://localhost/callback'],
    })),
    claims: {
      // What a cluster maps is in every ID token, whatever scopes a client asks for.
      openid: [...new Set(['sub', 'username', 'groups', 'email', 'email_verified', ...Object.keys(settings.claims)])],
      email: ['email', 'email_verified'],
      groups: ['groups'],
      profile: ['name', 'preferred_username'],
    },
    // Claims in the ID token itself, not only at the userinfo endpoint: Kubernetes never asks the latter.
    conformIdTokenClaims: false,
    enabledJWA: { idTokenSigningAlgValues: ['RS256', 'PS256', 'ES256', 'EdDSA'] },
    jwks: { keys: published },
    cookies: { keys: [cookieKey] },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: true,
        userCodeInputSource: (ctx, form, _out, error) => show(ctx, enterCode(form, error && 'That code is not known, or no longer good.')),
        userCodeConfirmSource: (ctx, form, client, _device, code) => show(ctx, compareCode(form, client.clientId, code)),
        successSource: (ctx) => show(ctx, deviceDone()),
      },
      revocation: { enabled: true },
    },
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    // Left to itself it believes in offline_access only beside prompt=consent (OIDC Core 11); many providers do not ask that
    // of native clients.
    ...(settings.refreshNeedsConsent ? {} : { issueRefreshToken: (_ctx, client) => client.grantTypeAllowed('refresh_token') }),
    ttl: {
      AccessToken: settings.tokenSeconds,
      Grant: DAY_SECONDS,
      IdToken: settings.tokenSeconds,
      Interaction: 600,
      RefreshToken: DAY_SECONDS,
      Session: DAY_SECONDS,
    },
    findAccount: (_ctx, subject) => {
      const user = settings.users.find((user) => user.subject === subject);
      return user && { accountId: subject, claims: () => claims(user) };
    },
    // Its own page takes fonts from elsewhere.
    renderError: (ctx, { error, error_description: description }) => show(ctx, failure(`${error}: ${description}`)),
  };
}

function show(ctx, page) {
  ctx.set(HEADERS);
  ctx.body = page;
}

function claims({ subject, name, email, groups }) {
  const known = { sub: subject, username: name, name, preferred_username: name, groups };
  return { ...known, ...(email ? { email, email_verified: true } : {}), ...settings.claims };
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
  const { prompt, params, session, grantId } = await provider.interactionDetails(request, response);
  if (prompt.name === 'consent') {
    // Native clients need it at every login (RFC 8252 8.6). The clients are the administrator's own: nobody is asked.
    const grant = (grantId && (await provider.Grant.find(grantId)))
      || new provider.Grant({ accountId: session.accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    await provider.interactionFinished(request, response, { consent: { grantId: await grant.save() } });
    return;
  }
  if (request.method !== 'POST') {
    response.writeHead(200, HEADERS).end(signIn(params.client_id));
    return;
  }
  const fields = new URLSearchParams(await body(request));
  const user = settings.users.find(({ name }) => name === fields.get('login'));
  if (!user || user.password !== fields.get('password')) {
    response.writeHead(401, HEADERS).end(signIn(params.client_id, fields.get('login') ?? ''));
    return;
  }
  await provider.interactionFinished(request, response, { login: { accountId: user.subject } });
}

async function body(request) {
  let text = '';
  for await (const chunk of request.setEncoding('utf8')) {
    text += chunk;
    if (text.length > MOST_FORM_BYTES) {
      throw Object.assign(new Error(`the form has more than ${MOST_FORM_BYTES} bytes`), { statusCode: 413 });
    }
  }
  return text;
}
