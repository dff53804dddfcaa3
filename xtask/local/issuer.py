"""Issues test tokens for the local cloud's API, to whoever asks on loopback.

    GET /issuer/token?tenant=lab&scope=read+write&subject=ada     {"access_token": ..., "expires_in": ...}

The key is made anew at each start. What the gateway asks an issuer for (OpenID Connect discovery and the public key)
is served beside it, so that tokens are checked as they are on AWS.
"""

import base64
import json
import time
import urllib.parse
import uuid

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PATH = "/issuer"
AUDIENCE = "sealane-local"
LIFETIME_S = 12 * 3600


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Issuer:
    """Signs tokens as `url` with a key of its own."""

    def __init__(self, url, now=time.time):
        self.url, self._now = url, now
        self._key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self._id = uuid.uuid4().hex

    def keys(self):
        """The public key, as a JSON Web Key Set."""
        numbers = self._key.public_key().public_numbers()
        encoded = {name: base64url(getattr(numbers, name).to_bytes(256, "big").lstrip(b"\0")) for name in ("n", "e")}
        return {"keys": [{"kty": "RSA", "use": "sig", "alg": "RS256", "kid": self._id, **encoded}]}

    def discovery(self):
        return {"issuer": self.url, "jwks_uri": f"{self.url}/jwks.json"}

    def token(self, tenant=None, scope="", subject="tester"):
        """A signed token; without a tenant it has no claim that names one."""
        now = int(self._now())
        claims = {"iss": self.url, "aud": AUDIENCE, "iat": now, "exp": now + LIFETIME_S, "sub": subject, "scope": scope}
        if tenant is not None:
            claims["tenant"] = tenant
        header = {"alg": "RS256", "typ": "JWT", "kid": self._id}
        signed = ".".join(base64url(json.dumps(part).encode()) for part in (header, claims))
        signature = self._key.sign(signed.encode(), padding.PKCS1v15(), hashes.SHA256())
        return f"{signed}.{base64url(signature)}"

    def reply(self, path, query):
        """What is served at `path` below the issuer's URL; `None`: nothing."""
        asked = {name: values[-1] for name, values in urllib.parse.parse_qs(query).items()}
        known = {name: asked[name] for name in ("tenant", "scope", "subject") if name in asked}
        match path:
            case "/.well-known/openid-configuration":
                return self.discovery()
            case "/jwks.json":
                return self.keys()
            case "/token" if known.keys() == asked.keys():
                return {"access_token": self.token(**known), "token_type": "Bearer", "expires_in": LIFETIME_S}
        return None


def beside(app, issuer):
    """`app`, with the issuer at its path."""

    async def served(scope, receive, send):
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith(f"{PATH}/"):
            await app(scope, receive, send)
            return
        found = issuer.reply(path.removeprefix(PATH), scope["query_string"].decode())
        body = json.dumps(found if found is not None else {"message": "ask /token?tenant=&scope=&subject="}).encode()
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 404 if found is None else 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return served
