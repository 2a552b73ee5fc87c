locals {
  authorizer_id = one(concat(
    var.authorization.authorizer_id == null ? [] : [var.authorization.authorizer_id],
    aws_apigatewayv2_authorizer.jwt[*].id,
    aws_apigatewayv2_authorizer.lambda[*].id,
  ))
}

resource "aws_apigatewayv2_authorizer" "jwt" {
  count = var.authorization.jwt == null ? 0 : 1

  api_id           = local.api_id
  name             = "${var.environment}-webhook"
  authorizer_type  = "JWT"
  identity_sources = [var.authorization.jwt.identity_source]

  jwt_configuration {
    issuer   = var.authorization.jwt.issuer
    audience = var.authorization.jwt.audience
  }
}

resource "aws_apigatewayv2_authorizer" "lambda" {
  count = var.authorization.lambda == null ? 0 : 1

  api_id                            = local.api_id
  name                              = "${var.environment}-webhook"
  authorizer_type                   = "REQUEST"
  authorizer_uri                    = var.authorization.lambda.invoke_arn
  authorizer_payload_format_version = "2.0"
  authorizer_result_ttl_in_seconds  = var.authorization.lambda.result_ttl_seconds
  enable_simple_responses           = true
  identity_sources                  = var.authorization.lambda.identity_sources
}

resource "aws_lambda_permission" "authorizer" {
  count = var.authorization.lambda == null ? 0 : 1

  function_name = var.authorization.lambda.function_name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${data.aws_apigatewayv2_api.ingest.execution_arn}/authorizers/${aws_apigatewayv2_authorizer.lambda[0].id}"
}
