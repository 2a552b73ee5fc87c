resource "aws_iam_role" "stub" {
  name                 = "${var.environment}-webhook-sss-stub"
  description          = "Lambda stands in for SSS in ${var.environment}"
  permissions_boundary = var.permissions_boundary_arn

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "lambda.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy" "logs" {
  name = "write-logs"
  role = aws_iam_role.stub.name

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
      Resource = ["${aws_cloudwatch_log_group.stub.arn}:*"] # its streams, which Lambda names
    }]
  })
}

resource "aws_iam_role_policies_exclusive" "stub" {
  role_name    = aws_iam_role.stub.name
  policy_names = [aws_iam_role_policy.logs.name]
}

resource "aws_iam_role_policy_attachments_exclusive" "stub" {
  role_name   = aws_iam_role.stub.name
  policy_arns = []
}

resource "aws_cloudwatch_log_group" "stub" {
  #checkov:skip=CKV_AWS_158:CloudWatch encrypts with its own keys, and the stub gets made-up webhooks
  #checkov:skip=CKV_AWS_338:how long lines are kept is the environment's choice (logs.retention_days)
  name              = "/aws/lambda/${var.environment}-webhook-sss-stub"
  retention_in_days = var.logs.retention_days
}

resource "aws_lambda_function" "stub" {
  #checkov:skip=CKV_AWS_50:the stub is not traced; the forwarder is
  #checkov:skip=CKV_AWS_115:the route's throttling bounds the stub
  #checkov:skip=CKV_AWS_116:a function's dead-letter queue is for asynchronous calls; the API's wait for the answer
  #checkov:skip=CKV_AWS_117:the stub calls nothing
  #checkov:skip=CKV_AWS_272:what runs is held to the artifact's SHA-256
  function_name = "${var.environment}-webhook-sss-stub"
  description   = "Stands in for SSS in ${var.environment}"
  role          = aws_iam_role.stub.arn

  runtime       = "provided.al2023"
  handler       = "bootstrap"
  architectures = [var.artifact.architecture]

  filename          = var.artifact.path
  s3_bucket         = var.artifact.bucket
  s3_key            = var.artifact.key
  s3_object_version = var.artifact.object_version
  source_code_hash  = var.artifact.code_sha256

  timeout     = var.timeout_seconds
  memory_size = 128

  logging_config {
    log_format = "JSON"
    log_group  = aws_cloudwatch_log_group.stub.name
  }

  depends_on = [aws_iam_role_policy.logs]
}

resource "aws_lambda_permission" "api" {
  function_name = aws_lambda_function.stub.function_name
  action        = "lambda:InvokeFunction"
  principal     = "apigateway.amazonaws.com"
  source_arn    = "${var.api_execution_arn}/*/POST${var.path}" # of every stage
}

resource "aws_apigatewayv2_integration" "stub" {
  api_id                 = var.api_id
  integration_type       = "AWS_PROXY"
  integration_uri        = aws_lambda_function.stub.invoke_arn
  payload_format_version = "2.0"
  description            = "Stands in for SSS"
}

resource "aws_apigatewayv2_route" "application" {
  #checkov:skip=CKV_AWS_309:stands in for a service that anybody can post to, as the forwarder does; it keeps nothing and calls nothing
  api_id             = var.api_id
  route_key          = "POST ${var.path}"
  target             = "integrations/${aws_apigatewayv2_integration.stub.id}"
  authorization_type = "NONE"

  depends_on = [aws_lambda_permission.api]
}
