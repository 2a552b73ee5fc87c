locals {
  # `content` leaves the deduplication id to SQS.
  deduplication_ids = {
    for name, route in var.routes : name =>
    try({ request = "$context.requestId", content = null }[route.deduplication], route.deduplication)
  }

  request_parameters = {
    for name, route in var.routes : name => {
      for parameter, value in {
        QueueUrl               = var.queue_url
        MessageBody            = "$request.body"
        MessageGroupId         = route.ordering_key
        MessageDeduplicationId = local.deduplication_ids[name]
        MessageAttributes      = local.message_attributes[name]
      } : parameter => value if value != null
    }
  }

  # What names an event: what the configuration says, or an id that is verified, or one that the
  # provider has for it, or the API's.
  event_ids = {
    for name, route in var.routes : name => coalesce(
      route.event_id,
      one([for verify in route.verify[*] : lookup(local.signed_ids, verify.scheme, null)]),
      contains(["request", "content"], route.deduplication) ? "$context.requestId" : route.deduplication,
    )
  }

  # Inside text a variable needs braces: $request.header.x becomes $${request.header.x}.
  event_ids_in_text = {
    for name, id in local.event_ids : name =>
    can(regex("[$][{]", id)) ? id : format("$${%s}", trimprefix(id, "$"))
  }

  # `jsonencode` writes <, > and & as escapes for the sake of HTML pages; the gateway looks for its
  # variables in the text before anybody reads it as JSON.
  message_attributes = {
    for name, route in var.routes : name => replace(replace(replace(
      jsonencode({
        for attribute, value in merge(
          {
            route       = name
            event_id    = local.event_ids_in_text[name]
            accepted_at = "$${context.requestTimeEpoch}"
          },
          length(local.carried_headers[name]) == 0 ? {} : {
            headers = join("\n", [for header in sort(local.carried_headers[name]) : format("%s: $${request.header.%s}", header, header)])
          },
          { for header in local.token_headers[name][*] : "token" => format("$${request.header.%s}", header) },
        ) : attribute => { DataType = "String", StringValue = value }
      }),
    "\\u003c", "<"), "\\u003e", ">"), "\\u0026", "&")
  }

  # All that is said of an integration, so that a change of any of it is seen below.
  integrations = {
    for name, route in var.routes : name => {
      description          = "Route ${name}: to the webhook queue"
      credentials_arn      = aws_iam_role.ingest.arn
      request_parameters   = local.request_parameters[name]
      timeout_milliseconds = 30000
    }
  }
}

resource "terraform_data" "integration" {
  for_each = local.integrations

  input = sha256(jsonencode(each.value))
}

# Never edited in place: the provider sends changed request parameters only, and the API refuses an
# update without the others (terraform-provider-aws #22647, #50061). So whatever changes, a new
# integration is made, the route turned to it, and then the old one deleted.
resource "aws_apigatewayv2_integration" "queue" {
  for_each = local.integrations

  api_id                 = local.api_id
  integration_type       = "AWS_PROXY"
  integration_subtype    = "SQS-SendMessage"
  payload_format_version = "1.0"
  description            = each.value.description
  credentials_arn        = each.value.credentials_arn
  request_parameters     = each.value.request_parameters
  timeout_milliseconds   = each.value.timeout_milliseconds

  lifecycle {
    create_before_destroy = true
    replace_triggered_by  = [terraform_data.integration[each.key]]

    # What is asked here must be known first: a changed integration writes what the forwarder of
    # before might not read.
    precondition {
      condition     = var.forwarder_version == null || var.forwarder_version != ""
      error_message = "forwarder_version is empty; the version that reads what this integration writes is not there."
    }
    precondition {
      condition     = length(local.carried_headers[each.key]) <= 40
      error_message = "at most 40 headers travel with a message, those of verify included; route ${each.key} has ${length(local.carried_headers[each.key])}."
    }
    precondition {
      condition = alltrue([
        for header in concat(local.hmac_headers[each.key], local.token_headers[each.key][*]) :
        can(regex("^[a-z0-9_-]{1,100}$", header)) && !can(regex(local.reserved_header_prefixes, header))
        && (!contains(local.reserved_headers, header) || startswith(header, "webhook-"))
      ])
      error_message = "a header of route ${each.key}'s hmac or token is none, or cannot reach the forwarder: API Gateway reserves it, or it is about the connection; are ${join(", ", concat(local.hmac_headers[each.key], local.token_headers[each.key][*]))}."
    }
    precondition {
      condition = alltrue([
        for header in local.token_headers[each.key][*] :
        !contains([for name in var.routes[each.key].pass_headers : lower(name)], header) && !anytrue([
          for expression in [var.routes[each.key].ordering_key, local.event_ids[each.key]] :
          contains(regexall("request\\.header\\.([a-z0-9_.-]+)", lower(expression))[*][0], header)
        ])
      ])
      error_message = "the header with the token of route ${each.key} is the secret: it cannot be in pass_headers, and no ordering_key or event_id can be made from it."
    }
  }

  # A route must not accept what the role cannot yet send.
  depends_on = [aws_iam_role_policy.send]
}

locals {
  # A route for each path. Its key has the path, so that a path which changes is another route: the new
  # one is made, the stage turned to it, and then the old one deleted; and one that becomes a former
  # path stays as it is.
  paths = merge([
    for name, route in var.routes : {
      for path in concat([route.path], route.former_paths) : "${name} ${path}" => { route = name, path = path }
    }
  ]...)
}

# Of before, when keys had no path. For other names or paths: the module's README.
moved {
  from = aws_apigatewayv2_route.webhook["sss"]
  to   = aws_apigatewayv2_route.webhook["sss /sqs-hook"]
}

resource "aws_apigatewayv2_route" "webhook" {
  #checkov:skip=CKV_AWS_309:who may post is the environment's choice (variable authorization); a SaaS that can only sign bodies is checked by the forwarder
  for_each = local.paths

  api_id               = local.api_id
  route_key            = "POST ${each.value.path}"
  target               = "integrations/${aws_apigatewayv2_integration.queue[each.value.route].id}"
  authorization_type   = var.authorization.type
  authorizer_id        = local.authorizer_id
  authorization_scopes = length(var.authorization.scopes) == 0 ? null : var.authorization.scopes

  lifecycle {
    create_before_destroy = true
  }
}
