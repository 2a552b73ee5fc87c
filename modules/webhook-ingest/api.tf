data "aws_apigatewayv2_apis" "named" {
  count = var.api.name == null ? 0 : 1

  name          = var.api.name
  protocol_type = "HTTP"

  lifecycle {
    postcondition {
      condition     = length(self.ids) == 1
      error_message = "${length(self.ids)} HTTP APIs are named \"${var.api.name}\"; give api.id instead."
    }
  }
}

locals {
  api_id = var.api.id == null ? one(data.aws_apigatewayv2_apis.named[0].ids) : var.api.id
}

data "aws_apigatewayv2_api" "ingest" {
  api_id = local.api_id
}
