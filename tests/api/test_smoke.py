from tests.factories.people import a_key, a_merchant, a_promoter, bearer
import json
def test_smoke(app, client):
    key = a_key()
    r = client.get("/api/v1/me", headers=bearer(key)); print(r.json)
    r = client.post("/api/v1/merchants", headers=bearer(key), json={"name":"A","country":"BR","currency":"BRL","timezone":"America/Sao_Paulo"}); print(r.status, r.json, r.headers)
    r = client.get("/api/v1/merchants", headers=bearer(key)); print(r.json)
    print(client.get("/api/openapi.json").text[:300])
    print(client.get("/api/docs").text[:3000])
    for u in ["/","/livez","/readyz","/metrics","/nope","/api/nope","/api/v1/merchants/x","/welcome/abc"]:
        r=client.get(u, headers=bearer(key)); print(u, r.status_code, r.text[:300])
    assert 0
