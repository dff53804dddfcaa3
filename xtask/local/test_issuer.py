"""What a test token says, and who can tell that it is one."""

import base64
import json
import unittest

try:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding, rsa

    from issuer import AUDIENCE, Issuer
except ImportError:
    Issuer = None

URL = "http://127.0.0.1:4566/issuer"


def decoded(text):
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@unittest.skipIf(Issuer is None, "the local cloud's packages are not installed here")
class Tokens(unittest.TestCase):
    def setUp(self):
        self.issuer = Issuer(URL, now=lambda: 1_000_000.5)

    def claims(self, **asked):
        return json.loads(decoded(self.issuer.token(**asked).split(".")[1]))

    def test_a_token_names_tenant_scopes_and_its_end(self):
        claims = self.claims(tenant="lab", scope="read write", subject="ada")
        self.assertEqual((claims["tenant"], claims["scope"], claims["sub"]), ("lab", "read write", "ada"))
        self.assertEqual((claims["iss"], claims["aud"]), (URL, AUDIENCE))
        self.assertEqual((claims["iat"], claims["exp"]), (1_000_000, 1_000_000 + 12 * 3600))

    def test_a_token_without_tenant_has_no_such_claim(self):
        self.assertNotIn("tenant", self.claims(scope="read"))

    def test_the_published_key_verifies_a_token_and_no_other(self):
        token = self.issuer.token(tenant="lab")
        signed, _, signature = token.rpartition(".")
        for issuer, is_its_own in ((self.issuer, True), (Issuer(URL), False)):
            key = issuer.keys()["keys"][0]
            n, e = (int.from_bytes(decoded(key[name]), "big") for name in ("n", "e"))
            public = rsa.RSAPublicNumbers(e, n).public_key()
            with self.subTest(is_its_own):
                try:
                    public.verify(decoded(signature), signed.encode(), padding.PKCS1v15(), hashes.SHA256())
                    self.assertTrue(is_its_own)
                except Exception:
                    self.assertFalse(is_its_own)

    def test_what_is_asked_wrongly_is_not_there(self):
        self.assertIsNone(self.issuer.reply("/token", "tenant=lab&admin=1"))
        self.assertIsNone(self.issuer.reply("/", ""))
        self.assertIn("access_token", self.issuer.reply("/token", "tenant=lab&scope=read"))
