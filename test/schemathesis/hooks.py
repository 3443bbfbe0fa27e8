"""What the document cannot say: a back end's token has to name the person, and most coupons are not there."""

import re

import schemathesis

COUPON = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._~-]{0,99}")


def often_tea(context, parameters):
    """Every other coupon is the one that the document's own examples define."""
    coupon = str(parameters.get("id"))
    if COUPON.fullmatch(coupon) and len(coupon) % 2:
        parameters["id"] = "tea"
    return parameters


@schemathesis.hook("map_body").apply_to(method="POST", path="/v1/coupons/{id}/claims")
def name_the_person(context, body):
    if isinstance(body, dict):
        body.setdefault("user_id", "ada")
    return body


@schemathesis.hook("map_query").apply_to(method="GET", path="/v1/coupons/{id}/grant")
def name_whose(context, query):
    query = {} if query is None else query
    query.setdefault("user_id", "ada")
    return query


schemathesis.hook("map_path_parameters").apply_to(method="POST", path="/v1/coupons/{id}/claims")(often_tea)
schemathesis.hook("map_path_parameters").apply_to(method="GET", path="/v1/coupons/{id}/grant")(often_tea)
