//! Which right each call of AWS takes: the one that its action is, and those that AWS demands beside it.
//!
//! Where nothing else stands, the source is the Service Authorization Reference ("Actions, resources,
//! and condition keys for …"), which the evaluator knows as well: a right that is no action, or on a
//! resource that the action does not know, is an error there.

use std::collections::BTreeMap;

use serde_json::Value;

use super::proxy::{Call, pairs};
use super::story::{ACCOUNT, REGION};

/// A key of the owner's, by which queues may be encrypted.
pub(super) const KEY: &str = "key/0a1b2c3d-0000-4000-8000-000000000000";

/// A right on a resource, in a context: what AWS asks its policies for.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Right {
    pub(super) action: String,
    pub(super) resource: String,
    /// Values of condition keys.
    pub(super) context: BTreeMap<String, String>,
}

impl Right {
    pub(super) fn new(action: &str, resource: impl Into<String>) -> Self {
        let context = BTreeMap::from([("aws:SecureTransport".to_owned(), "true".to_owned())]);
        Self { action: action.to_owned(), resource: resource.into(), context }
    }

    pub(super) fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.context.insert(key.to_owned(), value.into());
        self
    }
}

/// What is on a call's other side.
type On = fn(&Asked, &Known) -> String;
/// What AWS demands beside the call's own right.
type Beside = fn(&Asked, &Known) -> Vec<Right>;
/// The values of condition keys that our policies use.
type Context = fn(&Asked, &Known) -> Vec<(&'static str, String)>;

/// A line of the table.
struct Line {
    /// `service Operation`, or for services that speak REST `service METHOD /path`, `*` being any one
    /// part of it.
    call: &'static str,
    /// The right; none where AWS demands none.
    action: Option<&'static str>,
    on: On,
    context: Option<Context>,
    beside: Option<Beside>,
}

const fn line(call: &'static str, action: &'static str, on: On) -> Line {
    Line { call, action: Some(action), on, context: None, beside: None }
}

impl Line {
    const fn context(mut self, context: Context) -> Self {
        self.context = Some(context);
        self
    }

    const fn beside(mut self, beside: Beside) -> Self {
        self.beside = Some(beside);
        self
    }
}

/// Demands nothing, for the reason that stands beside it.
const fn free(call: &'static str) -> Line {
    Line { call, action: None, on: any, context: None, beside: None }
}

const TABLE: &[Line] = &[
    // STS: "No permissions are required to perform this operation." Source: STS API reference.
    free("sts GetCallerIdentity"),
    // SQS
    line("sqs CreateQueue", "sqs:CreateQueue", queue).beside(tag_queue),
    line("sqs DeleteQueue", "sqs:DeleteQueue", queue),
    line("sqs GetQueueAttributes", "sqs:GetQueueAttributes", queue),
    line("sqs GetQueueUrl", "sqs:GetQueueUrl", queue),
    line("sqs ListQueueTags", "sqs:ListQueueTags", queue),
    line("sqs SetQueueAttributes", "sqs:SetQueueAttributes", queue),
    line("sqs TagQueue", "sqs:TagQueue", queue),
    line("sqs ReceiveMessage", "sqs:ReceiveMessage", queue).beside(decrypt),
    line("sqs DeleteMessage", "sqs:DeleteMessage", queue),
    line("sqs DeleteMessageBatch", "sqs:DeleteMessage", queue),
    line("sqs ChangeMessageVisibility", "sqs:ChangeMessageVisibility", queue),
    line("sqs ChangeMessageVisibilityBatch", "sqs:ChangeMessageVisibility", queue),
    line("sqs SendMessage", "sqs:SendMessage", queue).beside(encrypt),
    line("sqs SendMessageBatch", "sqs:SendMessage", queue).beside(encrypt),
    // IAM
    line("iam CreateRole", "iam:CreateRole", role).context(boundary).beside(tag_role),
    line("iam DeleteRole", "iam:DeleteRole", role),
    line("iam DeleteRolePolicy", "iam:DeleteRolePolicy", role).context(boundary),
    line("iam GetRole", "iam:GetRole", role),
    line("iam GetRolePolicy", "iam:GetRolePolicy", role),
    line("iam ListAttachedRolePolicies", "iam:ListAttachedRolePolicies", role),
    line("iam ListInstanceProfilesForRole", "iam:ListInstanceProfilesForRole", role),
    line("iam ListRolePolicies", "iam:ListRolePolicies", role),
    line("iam ListRoleTags", "iam:ListRoleTags", role),
    line("iam PutRolePolicy", "iam:PutRolePolicy", role).context(boundary),
    line("iam TagRole", "iam:TagRole", role),
    line("iam UpdateAssumeRolePolicy", "iam:UpdateAssumeRolePolicy", role),
    line("iam UpdateRole", "iam:UpdateRole", role),
    // Lambda. The code's bucket and the role are asked for with the caller's rights: Lambda guide,
    // "Create a function from S3" and "Working with execution roles" (iam:PassRole).
    line("lambda POST /functions", "lambda:CreateFunction", function).beside(create_function),
    line("lambda GET /functions/*", "lambda:GetFunction", function),
    line("lambda DELETE /functions/*", "lambda:DeleteFunction", function),
    line("lambda PUT /functions/*/code", "lambda:UpdateFunctionCode", function).beside(code),
    line("lambda GET /functions/*/configuration", "lambda:GetFunctionConfiguration", function),
    line("lambda PUT /functions/*/configuration", "lambda:UpdateFunctionConfiguration", function)
        .beside(pass_function_role),
    line(
        "lambda GET /functions/*/code-signing-config",
        "lambda:GetFunctionCodeSigningConfig",
        function,
    ),
    line("lambda GET /functions/*/concurrency", "lambda:GetFunctionConcurrency", function),
    line("lambda PUT /functions/*/concurrency", "lambda:PutFunctionConcurrency", function),
    line("lambda DELETE /functions/*/concurrency", "lambda:DeleteFunctionConcurrency", function),
    line("lambda GET /functions/*/versions", "lambda:ListVersionsByFunction", function),
    line("lambda POST /functions/*/versions", "lambda:PublishVersion", function),
    line("lambda POST /functions/*/aliases", "lambda:CreateAlias", function),
    line("lambda GET /functions/*/aliases/*", "lambda:GetAlias", function),
    line("lambda PUT /functions/*/aliases/*", "lambda:UpdateAlias", function),
    line("lambda DELETE /functions/*/aliases/*", "lambda:DeleteAlias", function),
    line("lambda GET /account-settings", "lambda:GetAccountSettings", any),
    line("lambda GET /functions/*/policy", "lambda:GetPolicy", function),
    line("lambda POST /functions/*/policy", "lambda:AddPermission", function).context(principal),
    line("lambda POST /event-source-mappings", "lambda:CreateEventSourceMapping", any)
        .context(mapped_function)
        .beside(tag_mapping),
    line("lambda GET /event-source-mappings", "lambda:ListEventSourceMappings", any),
    line("lambda GET /event-source-mappings/*", "lambda:GetEventSourceMapping", mapping)
        .context(mapped_function),
    line("lambda PUT /event-source-mappings/*", "lambda:UpdateEventSourceMapping", mapping)
        .context(mapped_function),
    line("lambda DELETE /event-source-mappings/*", "lambda:DeleteEventSourceMapping", mapping)
        .context(mapped_function),
    line("lambda GET /tags/*", "lambda:ListTags", tagged),
    line("lambda POST /tags/*", "lambda:TagResource", tagged),
    line("lambda DELETE /tags/*", "lambda:UntagResource", tagged),
    // API Gateway: the action is the method, the resource is the path. Source: API Gateway guide, "How
    // Amazon API Gateway works with IAM"; "Allow tagging operations" for /tags.
    line("apigateway GET", "apigateway:GET", api),
    line("apigateway POST", "apigateway:POST", api).beside(make_api),
    line("apigateway PATCH", "apigateway:PATCH", api).beside(make_api),
    line("apigateway PUT", "apigateway:PUT", api),
    line("apigateway DELETE", "apigateway:DELETE", api),
    // CloudWatch Logs
    line("logs CreateLogGroup", "logs:CreateLogGroup", log_group).beside(tag_log_group),
    line("logs DeleteLogGroup", "logs:DeleteLogGroup", log_group),
    line("logs DescribeLogGroups", "logs:DescribeLogGroups", any),
    line("logs FilterLogEvents", "logs:FilterLogEvents", log_group),
    line("logs ListTagsForResource", "logs:ListTagsForResource", log_group),
    line("logs PutRetentionPolicy", "logs:PutRetentionPolicy", log_group),
    line("logs TagResource", "logs:TagResource", log_group),
    line("logs CreateLogStream", "logs:CreateLogStream", log_stream),
    line("logs PutLogEvents", "logs:PutLogEvents", log_stream),
    // CloudWatch
    line("monitoring PutMetricAlarm", "cloudwatch:PutMetricAlarm", alarm).beside(tag_alarm),
    line("monitoring DeleteAlarms", "cloudwatch:DeleteAlarms", alarm),
    line("monitoring DescribeAlarms", "cloudwatch:DescribeAlarms", alarms),
    line("monitoring GetMetricData", "cloudwatch:GetMetricData", any),
    line("monitoring ListTagsForResource", "cloudwatch:ListTagsForResource", alarm),
    line("monitoring TagResource", "cloudwatch:TagResource", alarm),
    line("monitoring PutDashboard", "cloudwatch:PutDashboard", dashboard),
    line("monitoring GetDashboard", "cloudwatch:GetDashboard", dashboard),
    line("monitoring DeleteDashboards", "cloudwatch:DeleteDashboards", dashboard),
    // SNS
    line("sns CreateTopic", "sns:CreateTopic", topic).beside(tag_topic),
    line("sns DeleteTopic", "sns:DeleteTopic", topic),
    line("sns GetTopicAttributes", "sns:GetTopicAttributes", topic),
    line("sns SetTopicAttributes", "sns:SetTopicAttributes", topic),
    line("sns ListTagsForResource", "sns:ListTagsForResource", topic),
    line("sns TagResource", "sns:TagResource", topic),
    line("sns GetDataProtectionPolicy", "sns:GetDataProtectionPolicy", topic),
    line("sns Subscribe", "sns:Subscribe", topic),
    line("sns ListSubscriptionsByTopic", "sns:ListSubscriptionsByTopic", topic),
    line("sns GetSubscriptionAttributes", "sns:GetSubscriptionAttributes", any),
    line("sns Unsubscribe", "sns:Unsubscribe", any),
    // Systems Manager, EventBridge Scheduler. Source for the role: Scheduler guide, "Using
    // identity-based policies" (iam:PassRole to scheduler.amazonaws.com).
    line("ssm GetParameter", "ssm:GetParameter", parameter),
    line("ssm PutParameter", "ssm:PutParameter", parameter),
    line("ssm DeleteParameter", "ssm:DeleteParameter", parameter),
    line("secretsmanager GetSecretValue", "secretsmanager:GetSecretValue", secret),
    line("scheduler POST /schedules/*", "scheduler:CreateSchedule", schedule)
        .beside(pass_resume_role),
    line("scheduler PUT /schedules/*", "scheduler:UpdateSchedule", schedule)
        .beside(pass_resume_role),
    line("scheduler GET /schedules/*", "scheduler:GetSchedule", schedule),
    line("scheduler DELETE /schedules/*", "scheduler:DeleteSchedule", schedule),
    // S3
    line("s3 GET /", "s3:ListBucket", bucket).context(prefix),
    line("s3 HEAD /", "s3:ListBucket", bucket),
    line("s3 GET /key", "s3:GetObject", object),
    // Source: S3 API reference, `HeadObject`.
    line("s3 HEAD /key", "s3:GetObject", object),
    line("s3 PUT /key", "s3:PutObject", object).context(condition),
    line("s3 DELETE /key", "s3:DeleteObject", object),
    // Terraform looks for workspaces, which it may be refused. Source: the pull request "backend/s3:
    // Ignore default workspace prefix errors" of hashicorp/terraform, in Terraform since 1.7.
    free("s3 GET /?prefix=env:"),
];

/// A call, taken apart.
pub(super) struct Asked<'a> {
    call: &'a Call,
    operation: String,
    /// The members of a body, whatever it is written in.
    body: Value,
}

/// What a call's resource is known by: what earlier calls were answered.
#[derive(Debug, Default)]
pub(super) struct Known {
    /// The boundary of a role, by its name.
    boundaries: BTreeMap<String, String>,
    /// The function that a mapping calls, by the mapping's id.
    mappings: BTreeMap<String, String>,
}

impl Known {
    /// The rights that a call takes; `None` if the table does not know it.
    pub(super) fn rights(&mut self, call: &Call) -> Result<Vec<Right>, String> {
        let asked = Asked::of(call);
        self.learn(&asked);
        let found = TABLE.iter().find(|line| matches(line.call, &asked.operation));
        let line = found.ok_or_else(|| asked.operation.clone())?;
        let Some(action) = line.action else { return Ok(Vec::new()) };
        let mut right = Right::new(action, (line.on)(&asked, self));
        for (key, value) in line.context.map(|context| context(&asked, self)).into_iter().flatten()
        {
            right = right.with(key, value);
        }
        let mut rights = vec![right];
        if call.service == "s3" && call.status == 404 {
            // Without it the answer is 403, which is no answer. Source: S3 API reference, `HeadObject`
            // and `GetObject`, on missing objects.
            let bucket = call.path.trim_start_matches('/').split('/').next().unwrap_or_default();
            rights.push(Right::new("s3:ListBucket", format!("arn:aws:s3:::{bucket}")));
        }
        rights.extend(line.beside.map(|beside| beside(&asked, self)).into_iter().flatten());
        Ok(rights)
    }

    fn learn(&mut self, asked: &Asked) {
        match asked.operation.as_str() {
            "iam CreateRole" => {
                let boundary = asked.text("PermissionsBoundary");
                self.boundaries.insert(asked.text("RoleName"), boundary);
            }
            "lambda POST /event-source-mappings" => {
                let answer: Value = serde_json::from_slice(&asked.call.answer).unwrap_or_default();
                let uuid = answer["UUID"].as_str().unwrap_or_default().to_owned();
                self.mappings.insert(uuid, function_arn(&asked.text("FunctionName")));
            }
            _ => {}
        }
    }
}

/// Whether an operation is the one that a line names.
fn matches(pattern: &str, operation: &str) -> bool {
    let (mut pattern, mut parts) = (pattern.split('/'), operation.split('/'));
    loop {
        match (pattern.next(), parts.next()) {
            (None, None) => return true,
            (Some("*"), Some(_)) => {}
            (Some(wanted), Some(part)) if wanted == part => {}
            _ => return false,
        }
    }
}

impl<'a> Asked<'a> {
    fn of(call: &'a Call) -> Self {
        let body = parsed(call);
        let target = call.headers.get("x-amz-target").and_then(|target| target.rsplit('.').next());
        let named = body["Action"].as_str().or(target).map(str::to_owned);
        // CloudWatch's SDK: /service/NAME/operation/OPERATION.
        let named = named.or_else(|| Some(call.path.split("/operation/").nth(1)?.to_owned()));
        let Call { service, method, path, .. } = call;
        let operation = match service.as_str() {
            "apigateway" => format!("apigateway {method}"),
            "lambda" => {
                let (_version, path) = path.trim_matches('/').split_once('/').unwrap_or_default();
                format!("lambda {method} /{}", path.trim_end_matches('/'))
            }
            "scheduler" => format!("scheduler {method} {path}"),
            "s3" => format!("s3 {method} {}", s3_path(call)),
            _ => format!("{service} {}", named.unwrap_or_else(|| format!("{method} {path}"))),
        };
        Self { call, operation, body }
    }

    /// A member of the body.
    fn text(&self, name: &str) -> String {
        self.body[name].as_str().unwrap_or_default().to_owned()
    }

    /// A part of the path, counted from its end.
    fn part_from_end(&self, place: usize) -> String {
        self.operation.rsplit('/').nth(place).unwrap_or_default().to_owned()
    }

    fn query(&self, name: &str) -> Option<&str> {
        let mut pairs = self.call.query.iter();
        pairs.find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }
}

/// The body as JSON: it is that, or a form, or CBOR.
fn parsed(call: &Call) -> Value {
    let kind = call.headers.get("content-type").map_or("", String::as_str);
    if kind.starts_with("application/x-www-form-urlencoded") {
        let form = pairs(&String::from_utf8_lossy(&call.body));
        return form.into_iter().map(|(name, value)| (name, Value::from(value))).collect();
    }
    serde_json::from_slice(&call.body).unwrap_or_default()
}

/// `/` for a bucket, `/key` for what is in it, with the prefix that has a line of its own.
fn s3_path(call: &Call) -> &'static str {
    let is_bucket = !call.path.trim_matches('/').contains('/');
    let prefix = call.query.iter().find(|(name, _)| name == "prefix").map(|(_, value)| value);
    match (is_bucket, prefix) {
        (true, Some(prefix)) if prefix.starts_with("env:") => "/?prefix=env:",
        (true, _) => "/",
        (false, _) => "/key",
    }
}

fn arn(service: &str, resource: &str) -> String {
    format!("arn:aws:{service}:{REGION}:{ACCOUNT}:{resource}")
}

fn any(_: &Asked, _: &Known) -> String {
    "*".to_owned()
}

fn queue(asked: &Asked, _: &Known) -> String {
    let url = asked.text("QueueUrl");
    let name = asked.body["QueueName"].as_str().or_else(|| url.rsplit('/').next());
    arn("sqs", name.unwrap_or_default())
}

fn role(asked: &Asked, _: &Known) -> String {
    format!("arn:aws:iam::{ACCOUNT}:role/{}", asked.text("RoleName"))
}

fn function_arn(name: &str) -> String {
    if name.starts_with("arn:") {
        name.to_owned()
    } else {
        arn("lambda", &format!("function:{name}"))
    }
}

/// The function, its version or its alias, as AWS's table of actions and resources for Lambda says.
fn function(asked: &Asked, _: &Known) -> String {
    let named = asked.operation.split("/functions/").nth(1).and_then(|rest| rest.split('/').next());
    let name = named.map_or_else(|| asked.text("FunctionName"), str::to_owned);
    match asked.query("Qualifier") {
        Some(qualifier) => format!("{}:{qualifier}", function_arn(&name)),
        None => function_arn(&name),
    }
}

fn mapping(asked: &Asked, _: &Known) -> String {
    arn("lambda", &format!("event-source-mapping:{}", asked.part_from_end(0)))
}

fn tagged(asked: &Asked, _: &Known) -> String {
    asked.part_from_end(0)
}

fn api(asked: &Asked, _: &Known) -> String {
    let path = asked.call.path.trim_start_matches("/v2");
    // An ARN in a path keeps its escapes. Source: API Gateway guide, on tagging permissions.
    let path = match path.strip_prefix("/tags/") {
        Some(arn) => format!("/tags/{}", arn.replace(':', "%3A").replace('/', "%2F")),
        None => path.to_owned(),
    };
    format!("arn:aws:apigateway:{REGION}::{path}")
}

fn log_group(asked: &Asked, _: &Known) -> String {
    let names = ["logGroupName", "logGroupIdentifier", "resourceArn"].map(|name| asked.text(name));
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    let name = name.rsplit("log-group:").next().unwrap_or_default().trim_end_matches(":*");
    arn("logs", &format!("log-group:{name}"))
}

fn log_stream(asked: &Asked, known: &Known) -> String {
    format!("{}:log-stream:{}", log_group(asked, known), asked.text("logStreamName"))
}

fn alarm(asked: &Asked, _: &Known) -> String {
    let arn_of = asked.text("ResourceARN");
    if !arn_of.is_empty() {
        return arn_of;
    }
    let names = ["AlarmName", "AlarmNames.member.1"].map(|name| asked.text(name));
    let listed = asked.body["AlarmNames"][0].as_str().unwrap_or_default().to_owned();
    let name = names.into_iter().chain([listed]).find(|name| !name.is_empty());
    arn("cloudwatch", &format!("alarm:{}", name.unwrap_or_default()))
}

fn alarms(_: &Asked, _: &Known) -> String {
    arn("cloudwatch", "alarm:*")
}

fn dashboard(asked: &Asked, _: &Known) -> String {
    let names = ["DashboardName", "DashboardNames.member.1"].map(|name| asked.text(name));
    let name = names.into_iter().find(|name| !name.is_empty()).unwrap_or_default();
    format!("arn:aws:cloudwatch::{ACCOUNT}:dashboard/{name}")
}

fn topic(asked: &Asked, _: &Known) -> String {
    let arns = ["TopicArn", "ResourceArn"].map(|name| asked.text(name));
    let found = arns.into_iter().find(|arn| !arn.is_empty());
    found.unwrap_or_else(|| arn("sns", &asked.text("Name")))
}

fn parameter(asked: &Asked, _: &Known) -> String {
    // A version stands behind the name.
    let name = asked.text("Name");
    arn("ssm", &format!("parameter{}", name.split(':').next().unwrap_or_default()))
}

fn secret(asked: &Asked, _: &Known) -> String {
    let id = asked.text("SecretId");
    if id.starts_with("arn:") { id } else { arn("secretsmanager", &format!("secret:{id}-abcdef")) }
}

fn schedule(asked: &Asked, _: &Known) -> String {
    arn("scheduler", &format!("schedule/default/{}", asked.part_from_end(0)))
}

fn bucket(asked: &Asked, _: &Known) -> String {
    format!("arn:aws:s3:::{}", asked.call.path.trim_matches('/'))
}

fn object(asked: &Asked, _: &Known) -> String {
    format!("arn:aws:s3:::{}", asked.call.path.trim_start_matches('/'))
}

fn prefix(asked: &Asked, _: &Known) -> Vec<(&'static str, String)> {
    vec![("s3:prefix", asked.query("prefix").unwrap_or_default().to_owned())]
}

fn condition(asked: &Asked, _: &Known) -> Vec<(&'static str, String)> {
    let condition = asked.call.headers.get("if-none-match");
    let condition = condition.map(|value| ("s3:if-none-match", value.clone()));
    condition.into_iter().chain([("s3:ObjectCreationOperation", "true".to_owned())]).collect()
}

fn boundary(asked: &Asked, known: &Known) -> Vec<(&'static str, String)> {
    let boundary = known.boundaries.get(&asked.text("RoleName"));
    let boundary = boundary.filter(|boundary| !boundary.is_empty());
    boundary.map(|boundary| ("iam:PermissionsBoundary", boundary.clone())).into_iter().collect()
}

fn mapped_function(asked: &Asked, known: &Known) -> Vec<(&'static str, String)> {
    let of_mapping = known.mappings.get(&asked.part_from_end(0)).cloned();
    let named = asked.body["FunctionName"].as_str().map(function_arn);
    of_mapping.or(named).map(|function| ("lambda:FunctionArn", function)).into_iter().collect()
}

fn principal(asked: &Asked, _: &Known) -> Vec<(&'static str, String)> {
    vec![("lambda:Principal", asked.text("Principal"))]
}

/// Where something is made with tags, the right to tag it is asked for as well. Source: the Service
/// Authorization Reference of each service, on its action to tag.
fn has_tags(asked: &Asked) -> bool {
    let tags = ["Tags", "tags", "Tags.member.1.Key", "Tag.1.Key"];
    tags.iter().any(|name| !asked.body[*name].is_null())
}

fn tag(asked: &Asked, action: &str, resource: String) -> Vec<Right> {
    if has_tags(asked) { vec![Right::new(action, resource)] } else { Vec::new() }
}

fn tag_queue(asked: &Asked, known: &Known) -> Vec<Right> {
    tag(asked, "sqs:TagQueue", queue(asked, known))
}

fn tag_role(asked: &Asked, known: &Known) -> Vec<Right> {
    tag(asked, "iam:TagRole", role(asked, known))
}

fn tag_log_group(asked: &Asked, known: &Known) -> Vec<Right> {
    tag(asked, "logs:TagResource", log_group(asked, known))
}

fn tag_alarm(asked: &Asked, known: &Known) -> Vec<Right> {
    tag(asked, "cloudwatch:TagResource", alarm(asked, known))
}

fn tag_topic(asked: &Asked, known: &Known) -> Vec<Right> {
    tag(asked, "sns:TagResource", topic(asked, known))
}

fn tag_mapping(asked: &Asked, _: &Known) -> Vec<Right> {
    // It has no id before it is there.
    tag(asked, "lambda:TagResource", arn("lambda", "event-source-mapping:any"))
}

pub(super) fn pass(role_arn: &str, service: &str) -> Right {
    Right::new("iam:PassRole", role_arn).with("iam:PassedToService", service)
}

fn create_function(asked: &Asked, known: &Known) -> Vec<Right> {
    let mut rights = tag(asked, "lambda:TagResource", function(asked, known));
    rights.extend(code(asked, known));
    rights.extend(pass_function_role(asked, known));
    if asked.body["Publish"] == true {
        rights.push(Right::new("lambda:PublishVersion", function(asked, known)));
    }
    if asked.body["VpcConfig"]["SubnetIds"][0].is_string() {
        // Source: Lambda guide, "Required IAM permissions" for VPCs.
        let seen = ["ec2:DescribeSecurityGroups", "ec2:DescribeSubnets", "ec2:DescribeVpcs"];
        rights.extend(seen.map(|action| Right::new(action, "*")));
    }
    rights
}

fn code(asked: &Asked, _: &Known) -> Vec<Right> {
    let code = if asked.body["Code"].is_object() { &asked.body["Code"] } else { &asked.body };
    let (Some(bucket), Some(key)) = (code["S3Bucket"].as_str(), code["S3Key"].as_str()) else {
        return Vec::new();
    };
    vec![Right::new("s3:GetObject", format!("arn:aws:s3:::{bucket}/{key}"))]
}

fn pass_function_role(asked: &Asked, _: &Known) -> Vec<Right> {
    let role = asked.body["Role"].as_str();
    role.map(|role| pass(role, "lambda.amazonaws.com")).into_iter().collect()
}

fn pass_resume_role(asked: &Asked, _: &Known) -> Vec<Right> {
    let role = asked.body["Target"]["RoleArn"].as_str();
    role.map(|role| pass(role, "scheduler.amazonaws.com")).into_iter().collect()
}

/// The rights beside those of making and changing a part of an API.
fn make_api(asked: &Asked, known: &Known) -> Vec<Right> {
    let mut rights = Vec::new();
    if has_tags(asked) {
        let made = api(asked, known);
        let tags = format!(
            "arn:aws:apigateway:{REGION}::/tags/{}",
            made.replace(':', "%3A").replace('/', "%2F")
        );
        rights.push(Right::new("apigateway:PUT", tags));
    }
    if let Some(role) = asked.body["credentialsArn"].as_str() {
        // Source: API Gateway guide, "Create AWS service integrations for HTTP APIs".
        rights.push(pass(role, "apigateway.amazonaws.com"));
    }
    if asked.body["accessLogSettings"].is_object() {
        // Source: API Gateway guide, "Configure logging for HTTP APIs", permissions to activate logging.
        let delivery = [
            "logs:CreateLogDelivery",
            "logs:DeleteLogDelivery",
            "logs:DescribeResourcePolicies",
            "logs:GetLogDelivery",
            "logs:ListLogDeliveries",
            "logs:PutResourcePolicy",
            "logs:UpdateLogDelivery",
        ];
        rights.extend(delivery.map(|action| Right::new(action, "*")));
    }
    if asked.call.path.trim_end_matches('/') == "/v2/apis" {
        // Source: API Gateway guide, "Using service-linked roles for API Gateway": the first API of an
        // account makes it.
        let name = "aws-service-role/ops.apigateway.amazonaws.com/AWSServiceRoleForAPIGateway";
        let role = format!("arn:aws:iam::{ACCOUNT}:role/{name}");
        let right = Right::new("iam:CreateServiceLinkedRole", role);
        rights.push(right.with("iam:AWSServiceName", "ops.apigateway.amazonaws.com"));
    }
    rights
}

/// A key of the owner's, which queues may be encrypted with; the key's own policy leaves it to IAM.
/// Source: SQS guide, "Key management".
fn through_queue(action: &str) -> Right {
    Right::new(action, arn("kms", KEY))
        .with("kms:ViaService", format!("sqs.{REGION}.amazonaws.com"))
}

fn decrypt(asked: &Asked, _: &Known) -> Vec<Right> {
    if is_function(asked) { Vec::new() } else { vec![through_queue("kms:Decrypt")] }
}

fn encrypt(asked: &Asked, _: &Known) -> Vec<Right> {
    let rights = ["kms:Decrypt", "kms:GenerateDataKey"].map(through_queue);
    if is_function(asked) { Vec::new() } else { rights.into() }
}

/// A function is given the key's name by its module, and these queues have none.
fn is_function(asked: &Asked) -> bool {
    asked.call.who == ACCOUNT
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn call(service: &str, method: &str, path: &str, target: &str, body: &Value) -> Call {
        Call {
            who: "dev-deploy".to_owned(),
            service: service.to_owned(),
            method: method.to_owned(),
            path: path.to_owned(),
            query: Vec::new(),
            headers: BTreeMap::from([("x-amz-target".to_owned(), target.to_owned())]),
            body: body.to_string().into_bytes(),
            status: 200,
            answer: Vec::new(),
        }
    }

    /// The rights of a call, as `action on resource`.
    fn rights(call: &Call) -> Result<Vec<String>, String> {
        let rights = Known::default().rights(call)?;
        Ok(rights
            .into_iter()
            .map(|right| format!("{} on {}", right.action, right.resource))
            .collect())
    }

    #[test]
    fn a_call_that_the_table_does_not_know_is_named() {
        let purge = call("sqs", "POST", "/", "AmazonSQS.PurgeQueue", &json!({}));
        assert_eq!(rights(&purge), Err("sqs PurgeQueue".to_owned()));
        let layers = call("lambda", "GET", "/2018-10-31/layers", "", &json!({}));
        assert_eq!(rights(&layers), Err("lambda GET /layers".to_owned()));
    }

    #[test]
    fn what_aws_demands_beside_a_call_is_demanded() {
        let role = "arn:aws:iam::000000000000:role/dev-webhook-forwarder";
        let body = json!({
            "FunctionName": "f", "Role": role, "Publish": true, "Tags": { "a": "b" },
            "Code": { "S3Bucket": "bucket", "S3Key": "artifacts/0.zip" },
        });
        let create = call("lambda", "POST", "/2015-03-31/functions", "", &body);
        let function = "arn:aws:lambda:us-east-1:000000000000:function:f";
        assert_eq!(
            rights(&create).unwrap(),
            [
                &*format!("lambda:CreateFunction on {function}"),
                &*format!("lambda:TagResource on {function}"),
                "s3:GetObject on arn:aws:s3:::bucket/artifacts/0.zip",
                &*format!("iam:PassRole on {role}"),
                &*format!("lambda:PublishVersion on {function}"),
            ]
        );
    }

    #[test]
    fn a_missing_object_takes_the_right_to_list() {
        let head = call("s3", "HEAD", "/bucket/dev/terraform.tfstate", "", &json!({}));
        let missing = Call { status: 404, ..head };
        assert_eq!(
            rights(&missing).unwrap(),
            [
                "s3:GetObject on arn:aws:s3:::bucket/dev/terraform.tfstate",
                "s3:ListBucket on arn:aws:s3:::bucket",
            ]
        );
    }
}
